import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

private func makeToken(_ controller: Identity = Identity.generate()) -> PairingToken {
    PairingToken.make(
        controller: controller.publicKey, relayURL: "wss://relay.example/ws",
        registryURL: "https://registry.example",
        expiresAt: noon)
}

private func fields(of token: PairingToken) throws -> [String: Any] {
    let json = try #require(Base64.decode(String(token.encoded().dropFirst(PairingToken.prefix.count))))
    return try #require(JSONSerialization.jsonObject(with: Data(json)) as? [String: Any])
}

private func token(_ fields: [String: Any]) throws -> String {
    PairingToken.prefix + Base64.encodeURL(try Vectors.json(fields))
}

@Test func aTokenReadsWhatItWrote() throws {
    let token = makeToken()
    #expect(try PairingToken(parsing: token.encoded()) == token)
    #expect(try PairingToken(parsing: " \(token.encoded())\n") == token)
    let odd = PairingToken.make(
        controller: token.controllerKey, relayURL: "ws://a", registryURL: "http://b",
        expiresAt: noon + 0.123_456_789)
    #expect(try PairingToken(parsing: odd.encoded()) == odd)
    #expect(makeToken() != makeToken())
}

@Test func aTokenExpires() throws {
    let token = makeToken()
    try token.checkExpiry(now: noon - 0.001)
    #expect(throws: TokenError.expired("2026-11-24T00:00:00.000Z")) { try token.checkExpiry(now: noon) }
}

@Test func onlyTheHashOfTheSecretTextIsStored() throws {
    let token = makeToken()
    #expect(token.secretHash == Hex.encode(SHA256Digest.hash(Array(Base64.encodeURL(token.secret).utf8))))
    #expect(PairingToken.secret(token.secretText, matches: token.secretHash))
    #expect(!PairingToken.secret(makeToken().secretText, matches: token.secretHash))
    #expect(!PairingToken.secret(token.secretText, matches: ""))
    var dumped = ""
    dump(token, to: &dumped)
    for text in ["\(token)", String(reflecting: token), dumped] {
        #expect(!text.contains(token.secretText) && !text.contains("\(token.secret[0]), \(token.secret[1])"))
    }
}

@Test func tokensThatPinNoKeyOrLackAFieldAreRefused() throws {
    let good = try fields(of: makeToken())
    for (field, error) in [
        ("controller_key", TokenError.unpinned), ("expires_at", .unpinned), ("secret", .field("secret")),
        ("relay_url", .field("relay_url")), ("registry_url", .field("registry_url")),
        ("controller_amid", .field("controller_amid")),
    ] {
        var without = good
        without[field] = nil
        let text = try token(without)
        #expect(throws: error, "\(field)") { try PairingToken(parsing: text) }
        without[field] = "?"
        let wrong = try token(without)
        #expect(throws: TokenError.self, "\(field)") { try PairingToken(parsing: wrong) }
    }
    var other = good
    other["controller_key"] = Identity.generate().publicKey.base64URL
    let foreign = try token(other)
    #expect(throws: TokenError.keyMismatch) { try PairingToken(parsing: foreign) }
    var more = good
    more["later"] = 1
    let extended = try token(more)
    _ = try PairingToken(parsing: extended)
    for (text, error) in [
        ("", TokenError.notAToken), ("azcp_2_AAAA", .otherVersion), ("azcp_1_", .unreadable),
        ("azcp_1_%%%", .unreadable), (String(repeating: "a", count: 5000), .notAToken),
    ] {
        #expect(throws: error) { try PairingToken(parsing: text) }
    }
}

@Test func randomAndMutatedTokensNeverNameAnotherKey() throws {
    let token = makeToken()
    var random = SeededRandom(seed: 12)
    let text = Array(token.encoded().utf8)
    for _ in 0..<2000 {
        if let read = try? PairingToken(parsing: String(decoding: random.mutation(of: text), as: UTF8.self)) {
            #expect(read.controllerKey == token.controllerKey)
        }
        #expect((try? PairingToken(parsing: "azcp_1_" + Base64.encodeURL(random.bytes(60)))) == nil)
    }
}
