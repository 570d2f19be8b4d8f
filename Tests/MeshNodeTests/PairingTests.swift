import Foundation
import MeshIdentity
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

@Suite(.timeLimit(.minutes(1))) struct PairingTests {
    /// A peer's pairings without a mesh.
    private final class Place: Sendable {
        let folder = TemporaryFolder()
        let store: NodeStore
        let identity = Identity.generate()
        let pairings: PairingService

        init(_ name: String, honours: @escaping @Sendable (Pairing) -> Bool = { _ in true }) throws {
            store = try NodeStore(
                folder: folder.file("data"), sealer: KeySealers.machineKey(folder: folder.file("data")))
            pairings = PairingService(
                store: store, identity: identity, peerName: name, relayURL: "ws://127.0.0.1:1/ws",
                registryURL: "http://127.0.0.1:1", logger: .silent, honours: honours)
        }

        deinit { store.close() }

        func token(
            _ name: String? = nil, lifetime: Int = 3_600, capabilities: [Capability] = [.handoff],
            now: Date = Date()
        ) async throws -> PairingToken {
            let answer = try await pairings.generate(
                GeneratePairing(
                    pairingName: name, lifetime: lifetime, tokenBudget: 10, slots: 2, capabilities: capabilities,
                    relayURL: nil, registryURL: nil), now: now)
            return try PairingToken(parsing: answer.token)
        }
    }

    private func request(_ token: PairingToken, _ identity: Identity, name: String = "laptop") -> PairRequest {
        PairRequest(token: token, identity: identity, displayName: name)
    }

    private func peer(_ identity: Identity) -> PeerIdentity { PeerIdentity(key: identity.publicKey) }

    @Test func aTokenPairsOnePeer() async throws {
        let cloud = try Place("cloud")
        let token = try await cloud.token("My Laptop!")
        let laptop = Identity.generate()
        #expect(await cloud.pairings.hasPendingToken())
        let response = await cloud.pairings.redeem(request(token, laptop), from: peer(laptop))
        #expect(response.success && response.clusterName == "cloud" && response.slots == 2)
        let pairing = try await cloud.pairings.inspect("my-laptop")
        #expect(pairing.phase == .active && pairing.peerKey == laptop.publicKey && pairing.peerName == "laptop")
        #expect(await cloud.pairings.active(with: peer(laptop))?.name == "my-laptop")
        #expect(await !cloud.pairings.hasPendingToken())
        let other = Identity.generate()
        let second = await cloud.pairings.redeem(request(token, other), from: peer(other))
        #expect(!second.success && second.error == "the token was used already")
        #expect(await cloud.pairings.active(with: peer(other)) == nil)
    }

    @Test func pairingsThatDoNotCountOpenNothingAndComeBack() async throws {
        let isOpen = Mutex(true)
        let cluster = try Place("cluster", honours: { pairing in
            isOpen.withLock { $0 } || pairing.name.hasPrefix("pod-")
        })
        let (laptop, pod, stranger) = (Identity.generate(), Identity.generate(), Identity.generate())
        let token = try await cluster.token("laptop")
        #expect(await cluster.pairings.redeem(request(token, laptop), from: peer(laptop)).success)
        let pending = try await cluster.token("later")
        isOpen.withLock { $0 = false }
        #expect(await cluster.pairings.active(with: peer(laptop)) == nil)
        #expect(await !cluster.pairings.hasPendingToken())
        let refused = await cluster.pairings.redeem(request(pending, stranger), from: peer(stranger))
        #expect(!refused.success && refused.error == OperationTable.closed.message)
        let own = try await cluster.token("pod-demo")
        #expect(await cluster.pairings.hasPendingToken())
        #expect(await cluster.pairings.redeem(request(own, pod), from: peer(pod)).success)
        #expect(await cluster.pairings.active(with: peer(pod))?.name == "pod-demo")
        isOpen.withLock { $0 = true }
        #expect(await cluster.pairings.active(with: peer(laptop))?.name == "laptop")
        #expect(await cluster.pairings.redeem(request(pending, stranger), from: peer(stranger)).success)
    }

    /// Pairs a place with a peer as whoever redeemed its token.
    private func pair(_ place: Place, _ other: Identity, lifetime: Int = 3_600) async throws {
        let token = try await place.token(lifetime: lifetime)
        #expect(await place.pairings.redeem(request(token, other), from: peer(other)).success)
    }

    @Test func whoIsIntroducedIsTrustedAsLongAsWhoIntroduced() async throws {
        let pod = try Place("cloud-a")
        let (controller, laptop) = (Identity.generate(), Identity.generate())
        func introduce(by introducer: Identity) async throws -> Pairing {
            try await pod.pairings.introduce(
                peer(laptop), named: "laptop", as: "laptop", by: peer(introducer), capabilities: [.handoff],
                expiresAt: .distantFuture)
        }
        // A stranger's word counts for nothing.
        await #expect(throws: OperationFailure.self) { try await introduce(by: controller) }
        try await pair(pod, controller)
        let made = try await introduce(by: controller)
        #expect(made.role == .introduced && made.introducer == controller.publicKey)
        // Not for longer than the introducer's own.
        #expect(made.expiresAt < Date(timeIntervalSinceNow: 3_700))
        #expect(await pod.pairings.active(with: peer(laptop))?.capabilities == [.handoff])
        // Again is not twice, and one that was introduced introduces nobody.
        _ = try await introduce(by: controller)
        #expect(try await pod.pairings.list().count { $0.role == .introduced } == 1)
        let third = Identity.generate()
        await #expect(throws: OperationFailure.self) {
            try await pod.pairings.introduce(
                peer(third), named: "third", as: "third", by: peer(laptop), capabilities: [.handoff],
                expiresAt: .distantFuture)
        }
        // Nobody else can take it back.
        try await pod.pairings.withdraw(peer(laptop), by: peer(third))
        #expect(await pod.pairings.active(with: peer(laptop)) != nil)
        try await pod.pairings.withdraw(peer(laptop), by: peer(controller))
        #expect(await pod.pairings.active(with: peer(laptop)) == nil)
        _ = try await introduce(by: controller)
        let source = try #require(await pod.pairings.active(with: peer(controller)))
        _ = try await pod.pairings.revoke(source.name)
        #expect(await pod.pairings.active(with: peer(laptop)) == nil)
    }

    /// Two peers that name each other must not stand when the tokens of both are gone, nor be looked up for ever.
    @Test func twoPeersCannotHoldEachOtherUp() async throws {
        let place = try Place("laptop")
        let (one, other) = (Identity.generate(), Identity.generate())
        func introduce(_ who: Identity, by introducer: Identity) async throws {
            _ = try await place.pairings.introduce(
                peer(who), named: "place", as: "place", by: peer(introducer), role: .place, capabilities: [.handoff],
                expiresAt: .distantFuture)
        }
        try await pair(place, one)
        try await introduce(other, by: one)
        try await pair(place, other)
        try await introduce(one, by: other)
        for who in [one, other] { #expect(await place.pairings.active(with: peer(who)) != nil) }
        for pairing in try await place.pairings.list() where pairing.role == .issuer {
            _ = try await place.pairings.revoke(pairing.name)
        }
        for who in [one, other] { #expect(await place.pairings.active(with: peer(who)) == nil) }
        // What was revoked here comes back by nobody's word.
        let third = Identity.generate()
        try await pair(place, third)
        await #expect(throws: OperationFailure.self) { try await introduce(one, by: third) }
        #expect(await place.pairings.active(with: peer(one)) == nil)
    }

    @Test func ofFiftyRedemptionsAtOnceOneWins() async throws {
        let cloud = try Place("cloud")
        let token = try await cloud.token()
        let winners = await withTaskGroup(of: PublicKey?.self) { group in
            for _ in 0..<50 {
                let identity = Identity.generate()
                group.addTask {
                    let response = await cloud.pairings.redeem(request(token, identity), from: peer(identity))
                    return response.success ? identity.publicKey : nil
                }
            }
            return await group.reduce(into: [PublicKey]()) { if let key = $1 { $0.append(key) } }
        }
        #expect(winners.count == 1)
        #expect(try await cloud.pairings.list().map(\.peerKey) == [winners.first])
    }

    @Test func aLostAnswerIsGivenAgainToTheSamePeer() async throws {
        let cloud = try Place("cloud")
        let token = try await cloud.token("x")
        let laptop = Identity.generate()
        _ = await cloud.pairings.redeem(request(token, laptop), from: peer(laptop))
        let before = try await cloud.pairings.inspect("x")
        #expect(await cloud.pairings.redeem(request(token, laptop), from: peer(laptop)).success)
        #expect(try await cloud.pairings.inspect("x") == before)
        _ = try await cloud.pairings.revoke("x")
        #expect(await !cloud.pairings.redeem(request(token, laptop), from: peer(laptop)).success)
    }

    @Test func aTokenIsRefusedAfterItsTime() async throws {
        let cloud = try Place("cloud")
        let made = Date()
        let token = try await cloud.token("x", lifetime: 60, now: made)
        let laptop = Identity.generate()
        let response = await cloud.pairings.redeem(
            request(token, laptop), from: peer(laptop), now: made.addingTimeInterval(61))
        #expect(response.error == "the token has expired")
        #expect(await !cloud.pairings.hasPendingToken(now: made.addingTimeInterval(61)))
    }

    @Test func aPairingEndsWithItsTime() async throws {
        let cloud = try Place("cloud")
        let made = Date().addingTimeInterval(-100)
        let token = try await cloud.token("x", lifetime: 90, now: made)
        let laptop = Identity.generate()
        #expect(
            await cloud.pairings.redeem(request(token, laptop), from: peer(laptop), now: made).success)
        #expect(await cloud.pairings.active(with: peer(laptop)) == nil)
        #expect(try await cloud.pairings.inspect("x").phase == .expired)
    }

    @Test func theKeyThatIsBoundIsTheSessions() async throws {
        let cloud = try Place("cloud")
        let token = try await cloud.token()
        let (laptop, thief) = (Identity.generate(), Identity.generate())
        let response = await cloud.pairings.redeem(request(token, laptop), from: peer(thief))
        #expect(response.error == "the request names another key than the session's")
        #expect(await cloud.pairings.hasPendingToken())
    }

    @Test func revokingEndsAPairingAtOnce() async throws {
        let cloud = try Place("cloud")
        let token = try await cloud.token("x")
        let laptop = Identity.generate()
        _ = await cloud.pairings.redeem(request(token, laptop), from: peer(laptop))
        #expect(try await cloud.pairings.revoke("X").phase == .revoked)
        #expect(await cloud.pairings.active(with: peer(laptop)) == nil)
        let again = await #expect(throws: OperationFailure.self) { try await cloud.pairings.revoke("x") }
        #expect(again?.code == .conflict)
        let unknown = await #expect(throws: OperationFailure.self) { try await cloud.pairings.revoke("y") }
        #expect(unknown?.code == .notFound)
    }

    @Test func aRemovedPairingIsEndedAndItsTokenIsWorthless() async throws {
        let cloud = try Place("cloud")
        let used = try await cloud.token("used"), waiting = try await cloud.token("waiting")
        let laptop = Identity.generate()
        _ = await cloud.pairings.redeem(request(used, laptop), from: peer(laptop))
        #expect(try await cloud.pairings.remove("Used").phase == .active)
        #expect(await cloud.pairings.active(with: peer(laptop)) == nil)
        #expect(try await cloud.pairings.remove("waiting").phase == .pending)
        #expect(try await cloud.pairings.list().isEmpty)
        for token in [used, waiting] {
            let answer = await cloud.pairings.redeem(request(token, laptop), from: peer(laptop))
            #expect(answer.error != nil)
        }
        #expect(await cloud.pairings.active(with: peer(laptop)) == nil)
        let again = await #expect(throws: OperationFailure.self) { try await cloud.pairings.remove("used") }
        #expect(again?.code == .notFound)
        _ = try await cloud.token("used")
    }

    @Test func guessesAreLimitedForOnePeerAndForAll() async throws {
        let cloud = try Place("cloud")
        let wrong = PairingToken.make(
            controller: cloud.identity.publicKey, relayURL: "ws://127.0.0.1:1", registryURL: "http://127.0.0.1:1",
            expiresAt: Date().addingTimeInterval(60))
        let guesser = Identity.generate()
        var errors: [String?] = []
        for _ in 0..<6 {
            errors.append(await cloud.pairings.redeem(request(wrong, guesser), from: peer(guesser)).error)
        }
        #expect(errors[4] == "the token is not known here")
        #expect(errors[5] == "too many attempts; wait a minute")
        var limit = AttemptLimit()
        let now = ContinuousClock.now
        let allowed = (0..<100).count { _ in limit.allows(peer(.generate()), at: now) }
        #expect(allowed == 60)
        let later = limit.allows(peer(guesser), at: now + .seconds(61))
        #expect(later)
    }

    @Test(arguments: [
        ("My Laptop!", "my-laptop"), ("--a--b--", "a-b"), ("ÄÖ", ""), ("", ""), ("a.b_c", "a-b-c"),
        (String(repeating: "x", count: 70), String(repeating: "x", count: 63)),
        (String(repeating: "x", count: 62) + "--y", String(repeating: "x", count: 62)), ("7", "7"),
    ])
    func namesAreNormalised(name: String, expected: String) {
        #expect(PairingService.normalized(name) == expected)
    }

    @Test func aPeersOwnNameIsFitForATerminal() {
        #expect(PairingService.shown("a\u{1b}[31mb\u{7}\n\u{202E}c") == "a[31mbc")
        #expect(PairingService.shown("x" + String(repeating: "\u{301}", count: 10_000)).unicodeScalars.count == 63)
    }

    @Test func tokensThatMakeNoSenseAreNotMade() async throws {
        let cloud = try Place("cloud")
        for (name, lifetime, slots, capabilities) in [
            ("x", 0, 1, [Capability.offload]), ("x", 3_650 * 86_400 + 1, 1, [.offload]), ("x", 60, 0, [.offload]),
            ("x", 60, 1, []), ("!!", 60, 1, [.offload]),
        ] {
            let failure = await #expect(throws: OperationFailure.self) {
                try await cloud.pairings.generate(
                    GeneratePairing(
                        pairingName: name, lifetime: lifetime, tokenBudget: 0, slots: slots,
                        capabilities: capabilities, relayURL: nil, registryURL: nil))
            }
            #expect(failure?.code == .invalid)
        }
        _ = try await cloud.token("x")
        let taken = await #expect(throws: OperationFailure.self) { try await cloud.token("X") }
        #expect(taken?.code == .conflict)
        #expect(try await cloud.pairings.list().count == 1)
    }

    @Test func theSecretOfATokenIsNotOnTheDisk() async throws {
        let cloud = try Place("cloud")
        let token = try await cloud.token()
        cloud.store.close()
        for name in try FileManager.default.contentsOfDirectory(atPath: cloud.folder.file("data")) {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: cloud.folder.file("data/\(name)")))
            #expect(bytes.range(of: Data(token.secretText.utf8)) == nil)
            #expect(bytes.range(of: Data(token.secret)) == nil)
        }
    }

    // MARK: Redeeming

    private func accept(_ token: PairingToken, at laptop: Place, by cloud: Place) async throws -> Pairing {
        try await laptop.pairings.accept(AcceptPairing(token: token.encoded())) { request, issuer in
            #expect(issuer == peer(cloud.identity))
            let response = await cloud.pairings.redeem(request, from: peer(laptop.identity))
            laptop.pairings.answered(response, by: issuer)
        }
    }

    @Test func bothSidesRecordAPairing() async throws {
        let (cloud, laptop) = (try Place("Cloud 1"), try Place("laptop"))
        let pairing = try await accept(try await cloud.token(), at: laptop, by: cloud)
        #expect(pairing.name == "cloud-1" && pairing.role == .redeemer && pairing.phase == .active)
        #expect(pairing.capabilities == [.handoff])
        #expect(await laptop.pairings.active(with: peer(cloud.identity)) == pairing)
        // A newer one takes its place.
        let renewed = try await accept(
            try await cloud.token(capabilities: [.offload, .handoff]), at: laptop, by: cloud)
        #expect(try await laptop.pairings.list() == [renewed])
    }

    @Test func aTokenIsRedeemedOnceAlsoByTheSamePeer() async throws {
        let (cloud, laptop) = (try Place("cloud"), try Place("laptop"))
        let token = try await cloud.token()
        let pairing = try await accept(token, at: laptop, by: cloud)
        let again = await #expect(throws: OperationFailure.self) {
            try await accept(token, at: laptop, by: cloud)
        }
        #expect(again?.code == .refused && again?.message.contains("used already") == true)
        #expect(try await laptop.pairings.list() == [pairing])
    }

    @Test func aRefusedTokenPairsNobody() async throws {
        let (cloud, laptop) = (try Place("cloud"), try Place("laptop"))
        let token = try await cloud.token("x")
        _ = try await cloud.pairings.revoke("x")
        let failure = await #expect(throws: OperationFailure.self) {
            try await accept(token, at: laptop, by: cloud)
        }
        #expect(failure?.code == .refused)
        #expect(try await laptop.pairings.list().isEmpty)
        let own = await #expect(throws: OperationFailure.self) { try await accept(token, at: cloud, by: cloud) }
        #expect(own?.code == .invalid)
        let nonsense = await #expect(throws: OperationFailure.self) {
            try await laptop.pairings.accept(AcceptPairing(token: "azcp_1_?")) { _, _ in }
        }
        #expect(nonsense?.code == .invalid)
    }

    @Test func aRequestThatDoesNotLeaveFailsAtOnce() async throws {
        let (cloud, laptop) = (try Place("cloud"), try Place("laptop"))
        let token = try await cloud.token()
        let failure = await #expect(throws: OperationFailure.self) {
            try await laptop.pairings.accept(AcceptPairing(token: token.encoded())) { _, _ in
                throw OperationFailure(.unavailable, "no relay")
            }
        }
        #expect(failure?.message == "no relay")
    }

    @Test func aFailureOfAnOlderRedemptionLeavesANewerAlone() async throws {
        let (cloud, laptop) = (try Place("cloud"), try Place("laptop"))
        let token = try await cloud.token()
        let (starts, feed) = AsyncStream.makeStream(of: CheckedContinuation<Void, Never>.self)
        var held = starts.makeAsyncIterator()
        let older = Task {
            try await laptop.pairings.accept(AcceptPairing(token: token.encoded())) { _, _ in
                await withCheckedContinuation { feed.yield($0) }
                throw OperationFailure(.unavailable, "too late")
            }
        }
        let first = await held.next()
        let newer = Task {
            try await laptop.pairings.accept(AcceptPairing(token: token.encoded())) { request, issuer in
                await withCheckedContinuation { feed.yield($0) }
                let response = await cloud.pairings.redeem(request, from: peer(laptop.identity))
                laptop.pairings.answered(response, by: issuer)
            }
        }
        let second = await held.next()
        let overtaken = await #expect(throws: OperationFailure.self) { try await older.value }
        #expect(overtaken?.code == .conflict)
        first?.resume()
        second?.resume()
        #expect(try await newer.value.phase == .active)
    }
}
