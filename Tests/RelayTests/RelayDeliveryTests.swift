import Foundation
import MeshIdentity
import Storage
import TestSupport
import Testing

@testable import Relay

struct RelayDeliveryTests {
    let alice = MeshClient()
    let bob = MeshClient()

    @Test func aConnectedRecipientGetsTheVeryBytes() async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay)
            try await bob.join(relay)
            let text = "{ \"to\":\"\(bob.did)\", \"from\" : \"\(alice.did)\",\"id\":\"1\",\"type\":\"message\",\"x\":[1 , 2] }"
            alice.send(text)
            let frame = try await bob.next("message")
            #expect(String(decoding: frame.bytes, as: UTF8.self) == text)
        }
    }

    @Test(arguments: ["message", "knock", "knock_accept", "knock_reject"])
    func everyFrameOfAgentsIsDelivered(_ type: String) async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay)
            try await bob.join(relay)
            alice.message("1", to: bob.did, type: type)
            #expect(try await bob.next(type).id == "1")
        }
    }

    @Test func anAbsentRecipientGetsItsMessagesInOrderWhenItComes() async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay)
            for number in 0..<300 { alice.message("m\(number)", to: bob.did) }
            _ = try await alice.next("receipt", count: 300)
            try await bob.join(relay, acks: true)
            _ = try await bob.next("message", count: 300)
            #expect(bob.ids() == (0..<300).map { "m\($0)" })
        }
    }

    @Test func aMessageComesAgainUntilItIsAcked() async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay)
            alice.message("1", to: bob.did)
            alice.message("2", to: bob.did)
            _ = try await alice.next("receipt", count: 2)
            let first = MeshClient(bob.identity)
            try await first.join(relay)
            _ = try await first.next("message", count: 2)
            first.ack("1")
            try await first.settle()
            try await first.leave()
            let second = MeshClient(bob.identity)
            try await second.join(relay)
            _ = try await second.next("message")
            second.ack("2")
            try await second.settle()
            #expect(second.ids() == ["2"])
            try await second.leave()
            let third = MeshClient(bob.identity)
            try await third.join(relay)
            alice.message("3", to: bob.did)
            _ = try await third.next("message")
            #expect(third.ids() == ["3"])
        }
    }

    @Test func messagesSentDuringTheDrainDoNotOvertake() async throws {
        try await TestRelay.run { relay in
            let count = 600
            try await alice.join(relay)
            for number in 0..<count / 2 { alice.message("\(number)", to: bob.did, size: 2_000) }
            _ = try await alice.next("receipt", count: count / 2)
            async let joined: Void = bob.join(relay, acks: true)
            for number in count / 2..<count { alice.message("\(number)", to: bob.did, size: 2_000) }
            try await joined
            _ = try await bob.next("message", count: count)
            #expect(bob.ids() == (0..<count).map(String.init))
        }
    }

    @Test func eachOfSeveralSendersKeepsItsOrder() async throws {
        try await TestRelay.run(threads: 3) { relay in
            let senders = (0..<4).map { _ in MeshClient() }
            for sender in senders { try await sender.join(relay) }
            for number in 0..<100 {
                for sender in senders { sender.message("\(number)", to: bob.did) }
                if number == 50 { try await bob.join(relay, acks: true) }
            }
            _ = try await bob.next("message", count: 400)
            for sender in senders {
                let ids = bob.frames.filter { $0["from"] == sender.did }.map(\.id)
                #expect(ids == (0..<100).map(String.init))
            }
        }
    }

    @Test func aReaderThatStopsLosesNothingAndKeepsItsConnection() async throws {
        try await TestRelay.run {
            $0.limits.lagBytes = 64 << 10
        } _: { relay in
            try await alice.join(relay)
            try await bob.join(relay, acks: true)
            bob.pauseReading()
            // More than socket buffers and the relay's own queue hold.
            let count = 200
            for number in 0..<count {
                alice.message("\(number)", to: bob.did, size: 50_000)
                // The sender's own queue is bounded too.
                if number % 50 == 49 { _ = try await alice.next("receipt", count: number + 1) }
            }
            bob.resumeReading()
            _ = try await bob.next("message", count: count)
            #expect(bob.ids() == (0..<count).map(String.init))
            #expect(bob.closing == nil)
            let later = try #require(relay.metric("kars_relay_messages_delivered_total{path=\"inbox\"}"))
            #expect(later > 0)
        }
    }

    @Test func aMessageTheDiskRefusesIsToldToItsSender() async throws {
        let folder = TemporaryFolder()
        try await TestRelay.run(in: folder) { relay in
            try await alice.join(relay)
            alice.message("1", to: bob.did)
            _ = try await alice.next("receipt")
            // Takes a table away from under the relay.
            let next = InboxSchema.migrations.count + 1
            let other = try Database(
                path: folder.file("relay/inbox.db"),
                migrations: InboxSchema.migrations + [Migration(next, "ALTER TABLE messages RENAME TO elsewhere")])
            other.close()
            alice.message("2", to: bob.did)
            let error = try await alice.next("error")
            #expect(error["detail"] == "message 2 not stored: the relay cannot write")
            #expect(alice.ids("receipt") == ["1"])
            #expect(relay.metric("kars_relay_inbox_messages") == 1)
            #expect(relay.metric("kars_relay_frames_dropped_total{reason=\"not_stored\"}") == 1)
        }
    }

    @Test func theWindowOpensWithAcksAndWithTime() async throws {
        try await TestRelay.run {
            $0.limits.drainMessages = 3
            $0.limits.ackPatience = .seconds(600)
        } _: { relay in
            try await alice.join(relay)
            for number in 0..<8 { alice.message("\(number)", to: bob.did) }
            _ = try await alice.next("receipt", count: 8)
            try await bob.join(relay)
            _ = try await bob.next("message", count: 3)
            try await bob.settle()
            #expect(bob.ids().count == 3)
            bob.ack("1")
            _ = try await bob.next("message", count: 4)
            try await bob.settle()
            #expect(bob.ids() == ["0", "1", "2", "3"])
        }
        try await TestRelay.run {
            $0.limits.drainMessages = 3
            $0.limits.ackPatience = .milliseconds(20)
        } _: { relay in
            let carol = MeshClient()
            let dave = MeshClient()
            try await carol.join(relay)
            for number in 0..<8 { carol.message("\(number)", to: dave.did) }
            _ = try await carol.next("receipt", count: 8)
            try await dave.join(relay)
            _ = try await dave.next("message", count: 8)
            #expect(dave.ids() == (0..<8).map(String.init))
        }
    }

    @Test func anAckOfSomeoneElsesMessageDoesNothing() async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay)
            alice.message("1", to: bob.did)
            _ = try await alice.next("receipt")
            alice.ack("1")
            alice.send(["type": "ack", "id": "1", "from": bob.did])
            alice.send(["type": "ack", "id": 7])
            alice.send(["type": "ack"])
            try await alice.settle()
            try await bob.join(relay)
            #expect(try await bob.next("message").id == "1")
            // Of the three only the one with a false sender was dropped, silently.
            #expect(relay.metric("kars_relay_frames_dropped_total{reason=\"false_sender\"}") == 1)
            #expect(alice.frames.count { $0.type == "error" } == 1)
        }
    }

    @Test func everyNameOfAKeyReachesIt() async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay, as: alice.identity.publicKey.agentMeshDID.text)
            let key = bob.identity.publicKey
            try await bob.join(relay, as: key.amid)
            for (number, name) in [key.did.text, key.agentMeshDID.text, key.amid].enumerated() {
                alice.message("\(number)", to: name)
            }
            _ = try await bob.next("message", count: 3)
            #expect(bob.ids() == ["0", "1", "2"])
        }
    }

    @Test func aRepeatedMessageIsDeliveredOnceAndConfirmedTwice() async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay)
            try await bob.join(relay)
            for id in ["1", "1", "2", "1", "3"] { alice.message(id, to: bob.did) }
            _ = try await alice.next("receipt", count: 5)
            _ = try await bob.next("message", count: 3)
            try await bob.settle()
            #expect(bob.ids() == ["1", "2", "3"])
        }
    }

    @Test func aRepeatedMessageIsKnownAfterARestart() async throws {
        let folder = TemporaryFolder()
        try await TestRelay.run(in: folder) { relay in
            try await alice.join(relay)
            try await bob.join(relay, acks: true)
            alice.message("1", to: bob.did)
            _ = try await bob.next("message")
            _ = try await alice.next("receipt")
        }
        try await TestRelay.run(in: folder) { relay in
            let sender = MeshClient(alice.identity)
            let receiver = MeshClient(bob.identity)
            try await sender.join(relay)
            try await receiver.join(relay)
            sender.message("1", to: bob.did)
            sender.message("2", to: bob.did)
            _ = try await receiver.next("message")
            _ = try await sender.next("receipt", count: 2)
            #expect(receiver.ids() == ["2"])
        }
    }

    @Test func whatWasConfirmedSurvivesARestart() async throws {
        let folder = TemporaryFolder()
        let confirmed = try await TestRelay.run(in: folder) { relay in
            try await alice.join(relay)
            for number in 0..<200 { alice.message("\(number)", to: bob.did) }
            _ = try await alice.next("receipt", count: 50)
            await relay.service.stop()
            _ = try await alice.closeCode()
            return alice.ids("receipt")
        }
        try await TestRelay.run(in: folder) { relay in
            try await bob.join(relay, acks: true)
            _ = try await bob.next("message", count: confirmed.count)
            #expect(Set(confirmed).isSubset(of: bob.ids()))
            #expect(bob.ids() == (0..<bob.ids().count).map(String.init))
        }
    }

    @Test func aFullInboxRefusesAndTellsTheSender() async throws {
        try await TestRelay.run {
            $0.limits.inboxMessages = 2
            $0.limits.inboxBytes = 1_000
        } _: { relay in
            try await alice.join(relay)
            for id in ["1", "2", "3"] { alice.message(id, to: bob.did) }
            let error = try await alice.next("error")
            #expect(error["detail"] == "message 3 not accepted: the inbox of the recipient is full")
            alice.message("4", to: MeshClient().did, size: 1_000)
            _ = try await alice.next("error", count: 2)
            try await bob.join(relay)
            _ = try await bob.next("message", count: 2)
            bob.ack("1")
            try await bob.settle()
            try await waitUntil("the ack freed its place") { relay.metric("kars_relay_inbox_messages") == 1 }
            alice.message("5", to: bob.did)
            _ = try await bob.next("message", count: 3)
            #expect(bob.ids() == ["1", "2", "5"])
        }
    }

    @Test func aMessageExpires() async throws {
        let folder = TemporaryFolder()
        let machine = TestMachine()
        try await TestRelay.run(in: folder, machine: machine) { relay in
            try await alice.join(relay)
            alice.message("old", to: bob.did)
            _ = try await alice.next("receipt")
        }
        machine.pass(.seconds(73 * 3600))
        try await TestRelay.run(in: folder, machine: machine) { relay in
            try await waitUntil("the expired message is gone") { relay.metric("kars_relay_inbox_messages") == 0 }
            #expect(relay.metric("kars_relay_frames_dropped_total{reason=\"expired\"}") == 1)
        }
    }

    @Test func fetchPendingStartsOver() async throws {
        try await TestRelay.run { $0.limits.fetchGrace = .zero } _: { relay in
            try await alice.join(relay)
            try await bob.join(relay)
            alice.message("1", to: bob.did)
            alice.message("2", to: bob.did)
            _ = try await bob.next("message", count: 2)
            bob.ack("1")
            bob.send(["v": 1, "type": "fetch_pending", "from": bob.did])
            _ = try await bob.next("message", count: 3)
            #expect(bob.ids() == ["1", "2", "2"])
            #expect(bob.frames.allSatisfy { $0.type != "error" })
        }
    }

    @Test func aFetchRightAfterTheConnectBringsNothingTwice() async throws {
        try await TestRelay.run { $0.limits.fetchGrace = .seconds(600) } _: { relay in
            try await alice.join(relay)
            for number in 0..<20 { alice.message("\(number)", to: bob.did) }
            _ = try await alice.next("receipt", count: 20)
            try await bob.connect(relay)
            bob.send(["v": 1, "type": "fetch_pending", "from": bob.did])
            _ = try await bob.next("message", count: 20)
            try await bob.settle()
            #expect(bob.ids() == (0..<20).map(String.init))
        }
    }
}
