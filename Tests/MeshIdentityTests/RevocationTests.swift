import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

@Test func aRevocationIsTheKeysOwnAndEveryChangeIsRefused() throws {
    let now = Date(timeIntervalSince1970: 1_800_000_000)
    let identity = Identity.generate()
    let certificate = try RevocationCertificate.make(identity: identity, reason: "lost: a laptop", now: now)
    let bytes = JSONCoding.encode(certificate)
    let read = try JSONCoding.decode(RevocationCertificate.self, from: bytes)
    #expect(read == certificate)
    try read.verify(now: now)
    // It does not expire, and one from the future is refused.
    try read.verify(now: now.addingTimeInterval(10 * 365 * 86_400))
    try read.verify(now: now.addingTimeInterval(-299))
    #expect(throws: ProofError.self) { try read.verify(now: now.addingTimeInterval(-301)) }

    var random = SeededRandom(seed: 21)
    for _ in 0..<2_000 {
        let changed = random.mutation(of: bytes)
        guard let other = try? JSONCoding.decode(RevocationCertificate.self, from: changed) else { continue }
        guard (try? other.verify(now: now)) != nil else { continue }
        // What still verifies says the same, in other base64.
        #expect(other.did == certificate.did && other.reason == certificate.reason)
        #expect(other.timestamp == certificate.timestamp && other.publicKey == certificate.publicKey)
        #expect(Base64.decode(other.signature) == Base64.decode(certificate.signature))
    }
}

@Test func aRevocationsReasonIsShortAndPrintable() throws {
    let identity = Identity.generate()
    for reason in [String(repeating: "a", count: 257), "two\nlines", "\u{1B}[31m"] {
        #expect(throws: ProofError.malformed("reason")) {
            try RevocationCertificate.make(identity: identity, reason: reason, now: Date())
        }
    }
}
