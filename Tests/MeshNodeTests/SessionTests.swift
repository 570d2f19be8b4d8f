import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import MeshIdentity
@testable import MeshNode

/// Sessions between real clients over a real relay.
@Suite(.timeLimit(.minutes(1))) struct SessionTests {
    private func text(_ text: String) -> [UInt8] { Array("{\"type\":\"test\",\"text\":\"\(text)\"}".utf8) }

    @Test func messagesArriveOnceAndInOrder() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            let expected = (0..<50).map { String(decoding: text("\($0)"), as: UTF8.self) }
            for message in expected { try await a.client.send(Array(message.utf8), to: b.name) }
            try await waitUntil("all messages") { b.messages.count >= 50 }
            #expect(b.messages == expected)
            #expect(b.knockCount == 1)
        }
    }

    @Test func knocksThatCrossConvergeWithoutADeadline() async throws {
        try await MeshWorld.run { world in
            for _ in 0..<6 {
                let (a, b) = (try await world.peer(), try await world.peer())
                async let there: Void = a.client.send(text("there"), to: b.name)
                async let back: Void = b.client.send(text("back"), to: a.name)
                _ = try await (there, back)
                try await waitUntil("both messages") { a.messages.count == 1 && b.messages.count == 1 }
                #expect(a.isSettled && b.isSettled)
                // And the session they agreed on carries both ways.
                try await a.client.send(text("again"), to: b.name)
                try await b.client.send(text("again"), to: a.name)
                try await waitUntil("both again") { a.messages.count == 2 && b.messages.count == 2 }
            }
        }
    }

    @Test func manySendersShareOneKnock() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 {
                    group.addTask { try await a.client.send(text("\(number)"), to: b.name) }
                }
                try await group.waitForAll()
            }
            try await waitUntil("all messages") { b.messages.count == 40 }
            #expect(b.knockCount == 1)
        }
    }

    @Test func aRejectedKnockFailsAllWhoWaitForIt() async throws {
        try await MeshWorld.run { world in
            let a = try await world.peer()
            let b = try await world.peer(policy: { _ in .reject(reason: "policy_denied") })
            for _ in 0..<3 {
                let failure = await #expect(throws: OperationFailure.self) {
                    try await a.client.send(text("no"), to: b.name)
                }
                #expect(failure?.code == .refused)
            }
            #expect(!b.hasAnySession(with: a.identity))
            #expect(a.isSettled)
        }
    }

    @Test func aPeerThatDoesNotAnswerIsGivenUp() async throws {
        try await MeshWorld.run { world in
            var limits = MeshLimits.quick
            limits.knockDecision = .milliseconds(100)
            let a = try await world.peer(limits: limits)
            let absent = try await world.peer()
            absent.client.stop()
            let failure = await #expect(throws: OperationFailure.self) {
                try await a.client.send(text("hello?"), to: absent.name)
            }
            #expect(failure?.code == .unavailable)
            #expect(a.isSettled)
        }
    }

    @Test func stoppingFailsWhoWaitsAndLaterSends() async throws {
        try await MeshWorld.run { world in
            let a = try await world.peer()
            let absent = try await world.peer()
            absent.client.stop()
            let sending = Task { try await a.client.send(text("x"), to: absent.name) }
            try await waitUntil("the KNOCK is on its way") {
                a.client.state.withLock { $0.knocking.values.contains { $0.sent != nil } }
            }
            a.client.stop()
            await #expect(throws: OperationFailure.self) { try await sending.value }
            await #expect(throws: OperationFailure.self) { try await a.client.send(text("x"), to: absent.name) }
        }
    }

    @Test func aResponderCannotSendBeforeItsFirstReceive() async throws {
        try await MeshWorld.run { world in
            let b = try await world.peer(connects: false)
            try await b.client.publishPrekeys()
            var a = try TestInitiator(to: b, bundle: try await world.registry.prekeyBundle(of: b.identity.did))
            await b.client.receive(a.knock.encode())
            try await waitUntil("the KNOCK is decided") { b.knockCount == 1 && b.isSettled }
            #expect(b.hasAnySession(with: a.identity))
            #expect(!b.client.hasSession(with: a.identity.did))
            await b.client.receive(try a.message("first").encode())
            try await waitUntil("the message") { b.messages == ["first"] }
            #expect(b.client.hasSession(with: a.identity.did))
        }
    }

    @Test func aMessageBroughtAgainActsOnce() async throws {
        try await MeshWorld.run { world in
            let b = try await world.peer(connects: false)
            try await b.client.publishPrekeys()
            var a = try TestInitiator(to: b, bundle: try await world.registry.prekeyBundle(of: b.identity.did))
            await b.client.receive(a.knock.encode())
            try await waitUntil("the KNOCK is decided") { b.knockCount == 1 && b.isSettled }
            let frames = try (0..<5).map { try a.message("\($0)").encode() }
            for frame in frames + frames + [frames[2]] { await b.client.receive(frame) }
            try await waitUntil("the messages") { b.messages.count >= 5 }
            #expect(b.messages == (0..<5).map(String.init))
            #expect(b.isSettled, "a repeat is no reason for a new session")
        }
    }

    @Test func aKnockIsTakenOnceAlsoAcrossARestart() async throws {
        try await MeshWorld.run { world in
            let identity = Identity.generate()
            let b = try await world.peer(identity, store: "b", connects: false)
            try await b.client.publishPrekeys()
            let bundle = try await world.registry.prekeyBundle(of: identity.did)
            var a = try TestInitiator(to: b, bundle: bundle)
            await b.client.receive(a.knock.encode())
            try await waitUntil("the KNOCK is decided") { b.knockCount == 1 && b.isSettled }
            let frame = try a.message("first").encode()
            await b.client.receive(frame)
            try await waitUntil("the message") { b.messages == ["first"] }
            await b.client.receive(a.knock.encode())
            try await waitUntil("the repeat is decided") { b.isSettled }
            #expect(b.knockCount == 1)
            b.stop()

            let reborn = try await world.peer(identity, store: "b", connects: false)
            // The relay's redelivery has another frame id, as a malicious relay would give it.
            var again = a.knock
            again.id = FrameID.make()
            await reborn.client.receive(again.encode())
            try await waitUntil("the repeat is decided") { reborn.isSettled }
            #expect(reborn.knockCount == 0)
            await reborn.client.receive(frame)
            await reborn.client.receive(try a.message("second").encode())
            try await waitUntil("the message") { !reborn.messages.isEmpty }
            #expect(reborn.messages == ["second"])
        }
    }

    @Test func aOneTimePrekeyStartsOneSession() async throws {
        try await MeshWorld.run { world in
            let b = try await world.peer(connects: false)
            try await b.client.publishPrekeys()
            let bundle = try await world.registry.prekeyBundle(of: b.identity.did)
            #expect(bundle.oneTimePreKey != nil)
            let first = try TestInitiator(to: b, bundle: bundle)
            let second = try TestInitiator(to: b, bundle: bundle)
            for initiator in [first, second] {
                await b.client.receive(initiator.knock.encode())
                try await waitUntil("the KNOCK is decided") { b.isSettled }
            }
            #expect(b.hasAnySession(with: first.identity))
            #expect(!b.hasAnySession(with: second.identity))
        }
    }

    @Test func usedPrekeysAreRefilled() async throws {
        try await MeshWorld.run { world in
            let b = try await world.peer(connects: false)
            try await b.client.publishPrekeys()
            for _ in 0...(MeshClient.fullOneTimePrekeys - MeshClient.lowOneTimePrekeys) {
                let a = try TestInitiator(to: b, bundle: try await world.registry.prekeyBundle(of: b.identity.did))
                await b.client.receive(a.knock.encode())
                try await waitUntil("the KNOCK is decided") { b.hasAnySession(with: a.identity) && b.isSettled }
            }
            try await waitUntil("a refill") {
                b.client.state.withLock { $0.prekeys.oneTimeCount } == MeshClient.fullOneTimePrekeys
            }
        }
    }

    @Test func anUnusablePrekeyIsToldAndTheSenderTriesAnother() async throws {
        try await MeshWorld.run { world in
            var callLimits = CallLimits()
            callLimits.retryAfter = .milliseconds(10)
            let a = try await world.peer(callLimits: callLimits)
            let b = try await world.peer()
            b.table.register(Echo.self) { request, _ in request.text }
            // b forgets the private half of the first prekey the registry will hand out.
            let next = try await world.registry.prekeyBundle(of: b.identity.did).oneTimePreKey!
            let forgetful = try TestInitiator(
                to: b, bundle: try await world.registry.prekeyBundle(of: b.identity.did))
            await b.client.receive(forgetful.knock.encode())
            _ = b.client.state.withLock { $0.prekeys.takeOneTime(id: next.keyID + 2) }
            #expect(try await a.calls.call(Echo(text: "still"), of: b.name) == "still")
        }
    }

    @Test func aRestartKeepsTheSession() async throws {
        try await MeshWorld.run { world in
            let identity = Identity.generate()
            let a = try await world.peer()
            let b = try await world.peer(identity, store: "b")
            try await a.client.send(text("1"), to: b.name)
            try await waitUntil("the message") { b.messages.count == 1 }
            b.stop()
            // Waits in the relay meanwhile.
            try await a.client.send(text("2"), to: b.name)
            let reborn = try await world.peer(identity, store: "b")
            try await waitUntil("the message") { reborn.messages.count == 1 }
            try await reborn.client.send(text("3"), to: a.name)
            try await waitUntil("the answer") { a.messages.count == 1 }
            #expect(reborn.knockCount == 0 && a.knockCount == 0)
        }
    }

    @Test func aPeerThatLostItsStoreIsFoundAgain() async throws {
        try await MeshWorld.run { world in
            var callLimits = CallLimits()
            callLimits.resendAfter = .milliseconds(200)
            let identity = Identity.generate()
            let a = try await world.peer(callLimits: callLimits)
            let b = try await world.peer(identity, store: "old")
            b.table.register(Echo.self) { request, _ in request.text }
            #expect(try await a.calls.call(Echo(text: "1"), of: b.name) == "1")
            b.stop()
            let reborn = try await world.peer(identity, store: "new")
            reborn.table.register(Echo.self) { request, _ in request.text }
            #expect(try await a.calls.call(Echo(text: "2"), of: b.name) == "2")
        }
    }

    @Test func aPeerWithoutTheSessionOnlyKnocksWhereItWouldLetIn() async throws {
        try await MeshWorld.run { world in
            let b = try await world.peer(policy: { _ in .reject(reason: "policy_denied") })
            let stranger = try await world.peer(connects: false)
            try await stranger.client.publishPrekeys()
            var frames = try TestInitiator(
                stranger.identity, to: b, bundle: try await world.registry.prekeyBundle(of: b.identity.did))
            await b.client.receive(try frames.message("?").encode())
            try await waitUntil("the stranger was looked up") { b.knockCount == 1 }
            try await waitUntil("nothing more") { b.client.state.withLock { $0.introductions == 0 } }
            #expect(b.client.state.withLock { $0.knocking.isEmpty })
            #expect(b.messages.isEmpty)
        }
    }

    @Test func aForgedKnockDoesNotEndAGoodSession() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            try await a.client.send(text("1"), to: b.name)
            // Until a message has proven the session, its other end would begin one of its own.
            try await waitUntil("the first message") { b.messages.count == 1 }
            try await b.client.send(text("1"), to: a.name)
            // It verifies, because a KNOCK's signature covers the intent alone, but nobody has its session.
            for _ in 0..<5 {
                let bundle = try await world.registry.prekeyBundle(of: b.identity.did)
                let forged = try TestInitiator(a.identity, to: b, bundle: bundle)
                await b.client.receive(forged.knock.encode())
                try await waitUntil("the KNOCK is decided") { b.isSettled }
            }
            #expect(b.knockCount == 6)
            try await b.client.send(text("2"), to: a.name)
            try await a.client.send(text("2"), to: b.name)
            try await waitUntil("both messages") { a.messages.count == 2 && b.messages.count == 2 }
            #expect(a.knockCount == 0 && b.knockCount == 6)
        }
    }

    @Test func garbageDoesNotEndAGoodSession() async throws {
        try await MeshWorld.run { world in
            var limits = MeshLimits.quick
            limits.resynchronisationPause = .seconds(600)
            let a = try await world.peer(limits: limits)
            let b = try await world.peer(limits: limits)
            try await a.client.send(text("1"), to: b.name)
            try await waitUntil("the message") { b.messages.count == 1 }
            var random = SeededRandom(seed: 11)
            let bundle = try await world.registry.prekeyBundle(of: b.identity.did)
            var forger = try TestInitiator(a.identity, to: b, bundle: bundle)
            for _ in 0..<150 {
                let frame = try forger.message("forged").encode()
                await b.client.receive(random.mutation(of: frame))
                await b.client.receive(random.mutation(of: forger.knock.encode()))
                await b.client.receive(random.bytes(Int.random(in: 0..<200, using: &random)))
                await b.client.receive(frame)
            }
            try await waitUntil("everything was handled") { b.isSettled }
            // However many there are, one fresh session is asked for in a pause.
            try await waitUntil("one fresh session at most") { a.isSettled && b.isSettled }
            #expect(a.knockCount <= 1)
            try await a.client.send(text("2"), to: b.name)
            try await b.client.send(text("3"), to: a.name)
            try await waitUntil("both messages") { a.messages.count == 1 && b.messages.count == 2 }
        }
    }

    @Test func aForgedAnswerToAKnockIsIgnored() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            try await a.client.send(text("1"), to: b.name)
            let (from, to) = (b.identity.did.text, a.identity.did.text)
            await a.client.receive(
                KnockAcceptFrame(from: from, to: to, knockID: FrameID.make(), now: Date()).encode())
            await a.client.receive(
                KnockRejectFrame(from: from, to: to, knockID: FrameID.make(), reason: "no", now: Date()).encode())
            try await a.client.send(text("2"), to: b.name)
            try await waitUntil("both messages") { b.messages.count == 2 }
        }
    }

    @Test func messagesInASessionThatWasJustReplacedStillOpen() async throws {
        try await MeshWorld.run { world in
            let b = try await world.peer(connects: false)
            try await b.client.publishPrekeys()
            let identity = Identity.generate()
            var old = try TestInitiator(
                identity, to: b, bundle: try await world.registry.prekeyBundle(of: b.identity.did))
            var new = try TestInitiator(
                identity, to: b, bundle: try await world.registry.prekeyBundle(of: b.identity.did))
            await b.client.receive(old.knock.encode())
            try await waitUntil("the KNOCK is decided") { b.isSettled }
            await b.client.receive(try old.message("1").encode())
            let late = try old.message("2")
            await b.client.receive(new.knock.encode())
            try await waitUntil("the KNOCK is decided") { b.isSettled }
            await b.client.receive(try new.message("3").encode())
            await b.client.receive(late.encode())
            try await waitUntil("all messages") { b.messages.count == 3 }
            #expect(b.messages == ["1", "3", "2"])
        }
    }

    @Test func aNewerKnockIsDecidedAfterTheOneUnderWay() async throws {
        try await MeshWorld.run { world in
            let (starts, feed) = AsyncStream.makeStream(of: CheckedContinuation<Void, Never>.self)
            let b = try await world.peer(
                connects: false,
                policy: { _ in
                    await withCheckedContinuation { feed.yield($0) }
                    return .accept()
                })
            try await b.client.publishPrekeys()
            let identity = Identity.generate()
            var knocks: [TestInitiator] = []
            for _ in 0..<4 {
                knocks.append(
                    try TestInitiator(
                        identity, to: b, bundle: try await world.registry.prekeyBundle(of: b.identity.did)))
            }
            for knock in knocks { await b.client.receive(knock.knock.encode()) }
            // A message of the newest waits for the verdict.
            await b.client.receive(try knocks[3].message("newest").encode())
            var held = starts.makeAsyncIterator()
            await held.next()?.resume()
            await held.next()?.resume()
            try await waitUntil("the message") { b.messages == ["newest"] }
            #expect(b.knockCount == 2, "the first and the newest; those between are overtaken")
        }
    }

    @Test func onlySoManyKnocksAreDecidedAtOnce() async throws {
        try await MeshWorld.run { world in
            var limits = MeshLimits.quick
            limits.concurrentKnocks = 2
            let (starts, feed) = AsyncStream.makeStream(of: CheckedContinuation<Void, Never>.self)
            let b = try await world.peer(
                limits: limits,
                policy: { _ in
                    await withCheckedContinuation { feed.yield($0) }
                    return .accept()
                })
            let bundle = try await world.registry.prekeyBundle(of: b.identity.did)
            for _ in 0..<2 { await b.client.receive(try TestInitiator(to: b, bundle: bundle).knock.encode()) }
            let a = try await world.peer()
            let failure = await #expect(throws: OperationFailure.self) {
                try await a.client.send(text("x"), to: b.name)
            }
            #expect(failure?.code == .unavailable, "worth another try")
            var held = starts.makeAsyncIterator()
            for _ in 0..<2 { await held.next()?.resume() }
            try await waitUntil("both are decided") { b.isSettled }
        }
    }

    @Test func theSessionUnusedForLongestGivesWay() async throws {
        try await MeshWorld.run { world in
            var limits = MeshLimits.quick
            limits.maximumSessions = 2
            let b = try await world.peer(store: "b", connects: false, limits: limits)
            try await b.client.publishPrekeys()
            var identities: [Identity] = []
            for _ in 0..<4 {
                var a = try TestInitiator(to: b, bundle: try await world.registry.prekeyBundle(of: b.identity.did))
                identities.append(a.identity)
                await b.client.receive(a.knock.encode())
                try await waitUntil("the KNOCK is decided") { b.isSettled }
                await b.client.receive(try a.message("x").encode())
            }
            #expect(identities.map { b.hasAnySession(with: $0) } == [false, false, true, true])
            #expect(try await b.store.secrets(startingWith: "session:").count == 2)
        }
    }

    @Test func aMessageNoFrameCanCarryIsRefusedBeforeItCostsTheConnection() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            let failure = await #expect(throws: OperationFailure.self) {
                try await a.client.send([UInt8](repeating: 0x20, count: 1 << 20), to: b.name)
            }
            #expect(failure?.code == .invalid)
            // The longest one that is taken does arrive.
            let longest = (MeshLimits.quick.maximumFrameBytes - 1_024) / 4 * 3
            try await a.client.send([UInt8](repeating: 0x20, count: longest), to: b.name)
            try await waitUntil("the message") { b.messages.first?.utf8.count == longest }
        }
    }

    // MARK: The disk fails

    private func refuse(_ table: String, in store: NodeStore) async throws {
        try await store.database.write {
            try $0.execute(
                "CREATE TRIGGER full BEFORE INSERT ON \(table) BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        }
    }

    private func allow(in store: NodeStore) async throws {
        try await store.database.write { try $0.execute("DROP TRIGGER full") }
    }

    @Test func aMessageThatCannotBeStoredIsHandedOnOnceItCan() async throws {
        try await MeshWorld.run { world in
            let b = try await world.peer(connects: false)
            try await b.client.publishPrekeys()
            var a = try TestInitiator(to: b, bundle: try await world.registry.prekeyBundle(of: b.identity.did))
            await b.client.receive(a.knock.encode())
            try await waitUntil("the KNOCK is decided") { b.isSettled }
            await b.client.receive(try a.message("1").encode())
            try await waitUntil("the message") { b.messages == ["1"] }
            try await refuse("received", in: b.store)
            let frame = try a.message("2").encode()
            await b.client.receive(frame)
            try await waitUntil("the failure is known") { b.client.state.withLock { $0.unstored.count == 1 } }
            // The relay brings it again: it is neither lost nor handed on twice.
            await b.client.receive(frame)
            #expect(b.messages == ["1"])
            try await allow(in: b.store)
            try await waitUntil("the message") { b.messages == ["1", "2"] }
            await b.client.receive(frame)
            await b.client.receive(try a.message("3").encode())
            try await waitUntil("the next message") { b.messages.count >= 3 }
            #expect(b.messages == ["1", "2", "3"])
            #expect(b.isSettled)
        }
    }

    @Test func aMessageThatCannotBeStoredDoesNotLeave() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            try await a.client.send(text("1"), to: b.name)
            try await refuse("secret", in: a.store)
            await #expect(throws: (any Error).self) { try await a.client.send(text("2"), to: b.name) }
            try await allow(in: a.store)
            try await a.client.send(text("3"), to: b.name)
            try await waitUntil("the messages") { b.messages.count >= 2 }
            #expect(b.messages.map { $0.contains("2") } == [false, false])
            #expect(b.knockCount == 1)
        }
    }

    @Test func aKnockThatCannotBeStoredMakesNoSession() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            try await refuse("received", in: b.store)
            let failure = await #expect(throws: OperationFailure.self) {
                try await a.client.send(text("1"), to: b.name)
            }
            #expect(failure?.code == .unavailable)
            try await allow(in: b.store)
            try await a.client.send(text("2"), to: b.name)
            try await waitUntil("the message") { b.messages.count == 1 }
        }
    }

    @Test func aDamagedSessionIsLeftOut() async throws {
        try await MeshWorld.run { world in
            let identity = Identity.generate()
            let (a, c) = (try await world.peer(), try await world.peer())
            let b = try await world.peer(identity, store: "b")
            try await a.client.send(text("1"), to: b.name)
            try await c.client.send(text("1"), to: b.name)
            try await waitUntil("the messages") { b.messages.count == 2 }
            // Rows exchanged: each seal names its row.
            let names = [a, c].map { PeerSession.secretName($0.identity.did) }
            try await b.store.database.write { connection in
                try connection.execute("UPDATE secret SET name = 'x' WHERE name = ?", .text(names[0]))
                try connection.execute(
                    "UPDATE secret SET box = (SELECT box FROM secret WHERE name = 'x') WHERE name = ?",
                    .text(names[1]))
            }
            b.stop()
            let reborn = try await world.peer(identity, store: "b")
            #expect(!reborn.hasAnySession(with: a.identity) && !reborn.hasAnySession(with: c.identity))
        }
    }
}

/// An operation that says what it was told.
struct Echo: PeerOperation {
    static let name = "test.echo"
    static let access = OperationAccess.paired
    static let patience = 20
    var text: String
    typealias Answer = String
}
