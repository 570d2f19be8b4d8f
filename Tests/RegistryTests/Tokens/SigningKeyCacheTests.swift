import Foundation
import SignInSupport
import Synchronization
import Testing

@testable import MeshIdentity

struct SigningKeyCacheTests {
    let start = Date(timeIntervalSince1970: 1_800_000_000)

    /// An issuer that counts how often it is asked.
    private final class Issuer: Sendable {
        struct Down: Error, CustomStringConvertible { let description = "no route" }
        private let state = Mutex((keys: [TokenSigner.first], isDown: false, asked: 0))

        var asked: Int { state.withLock { $0.asked } }
        func publish(_ keys: [TokenSigner]) { state.withLock { $0.keys = keys } }
        func beDown(_ isDown: Bool) { state.withLock { $0.isDown = isDown } }
        func fetch() throws -> [UInt8] {
            try state.withLock {
                $0.asked += 1
                if $0.isDown { throw Down() }
                return TokenSigner.document($0.keys.map { $0.published() })
            }
        }
    }

    private let issuer = Issuer()
    private let cache: SigningKeyCache

    init() {
        let issuer = self.issuer
        cache = SigningKeyCache { try issuer.fetch() }
    }

    private func outcome(_ id: String, at seconds: Double) async -> AccessTokenError? {
        do throws(AccessTokenError) {
            _ = try await cache.key(id, now: start.addingTimeInterval(seconds))
            return nil
        } catch {
            return error
        }
    }

    @Test func keysAreFetchedOnceAndAgainWhenOld() async {
        for second in [0.0, 1, 3599] { #expect(await outcome("key-1", at: second) == nil) }
        #expect(issuer.asked == 1)
        #expect(await outcome("key-1", at: 3600) == nil)
        #expect(issuer.asked == 2)
    }

    @Test func aKeyThatTheIssuerTookUpIsFoundAndOneItWithdrewIsGone() async {
        #expect(await outcome("key-1", at: 0) == nil)
        issuer.publish([.second])
        #expect(await outcome("key-2", at: 9) == .unknownKey)
        #expect(await outcome("key-2", at: 10) == nil)
        #expect(await outcome("key-1", at: 11) == .unknownKey)
        #expect(issuer.asked == 2)
    }

    @Test func strangeKeyIDsDoNotMakeItAskOften() async {
        await withTaskGroup { group in
            for number in 0..<500 {
                group.addTask { #expect(await self.outcome("strange-\(number)", at: Double(number) / 100) == .unknownKey) }
            }
        }
        #expect(issuer.asked == 1)
    }

    @Test func withoutTheIssuerKnownKeysServeForADayAndThenNothingDoes() async {
        #expect(await outcome("key-1", at: 0) == nil)
        issuer.beDown(true)
        #expect(await outcome("key-1", at: 4000) == nil)
        #expect(await outcome("key-1", at: 86_399) == nil)
        #expect(await outcome("key-1", at: 86_400) == .keysUnavailable("no route"))
        issuer.beDown(false)
        #expect(await outcome("key-1", at: 86_420) == nil)
    }

    @Test func aFirstFetchThatFailsIsTriedAgain() async {
        issuer.beDown(true)
        #expect(await outcome("key-1", at: 0) == .keysUnavailable("no route"))
        issuer.beDown(false)
        #expect(await outcome("key-1", at: 5) == .keysUnavailable("no route"))
        #expect(await outcome("key-1", at: 10) == nil)
    }
}
