import Foundation
import MeshIdentity
import TestSupport
import Testing
import Transport

@testable import Relay

struct RelayHardeningTests {
    let alice = MeshClient()
    let bob = MeshClient()

    @Test func aLongFirstFrameEndsTheConnection() async throws {
        try await TestRelay.run { $0.limits.connectFrameBytes = 2_000 } _: { relay in
            try await alice.open(relay)
            alice.send(["type": "connect", "from": alice.did, "x": String(repeating: "x", count: 2_000)])
            #expect(try await alice.closeCode() == 1009)
            // The client may hear of its end first.
            try await waitUntil("the count") {
                relay.metric("kars_relay_connections_closed_total{reason=\"connect_too_long\"}") == 1
            }
        }
    }

    @Test func aSenderFillsNoMoreThanItsShareOfAnInbox() async throws {
        let folder = TemporaryFolder()
        try await TestRelay.run(in: folder) { $0.limits.senderMessages = 2 } _: { relay in
            let carol = MeshClient()
            try await alice.join(relay)
            try await carol.join(relay)
            for id in ["1", "2", "3"] { alice.message(id, to: bob.did) }
            let error = try await alice.next("error")
            #expect(error["detail"] == "message 3 not accepted: your share of the recipient's inbox is full")
            #expect(relay.metric("kars_relay_frames_dropped_total{reason=\"sender_share_full\"}") == 1)
            carol.message("4", to: bob.did)
            _ = try await carol.next("receipt")
            _ = try await alice.next("receipt", count: 2)
        }
        // What it fills is known after a restart, and free after an ack.
        try await TestRelay.run(in: folder) {
            $0.limits.senderMessages = 2
            $0.limits.senderBytes = 600
        } _: { relay in
            let sender = MeshClient(alice.identity)
            try await sender.join(relay)
            sender.message("5", to: bob.did)
            _ = try await sender.next("error")
            try await bob.join(relay, acks: true)
            _ = try await bob.next("message", count: 3)
            try await waitUntil("the acks freed the inbox") { relay.metric("kars_relay_inbox_messages") == 0 }
            sender.message("6", to: bob.did)
            _ = try await bob.next("message", count: 4)
            #expect(bob.ids() == ["1", "2", "4", "6"])
            sender.message("7", to: bob.did, size: 600)
            _ = try await sender.next("error", count: 2)
        }
    }

    @Test func aFullMemoryTurnsNewcomersAwayAndKeepsTheOthers() async throws {
        // The test itself holds more than a byte.
        try await TestRelay.run { $0.limits.memoryBytes = 1 } _: { relay in
            try await alice.open(relay)
            #expect(try await alice.closeCode() == 1013)
            #expect(alice.frames.first?["detail"] == "the relay is overloaded, try again later")
            #expect(relay.metric("kars_relay_shedding") == 1)
            #expect(relay.metric("kars_relay_connections_closed_total{reason=\"overloaded\"}") == 1)
        }
    }

    @Test func aClientThatTakesNothingIsEvicted() async throws {
        try await TestRelay.run {
            $0.limits.idleTimeout = .milliseconds(400)
            $0.limits.lagBytes = 64 << 10
            $0.limits.drainTimeout = .milliseconds(200)
            $0.limits.drainMessages = 10_000
            $0.limits.drainBytes = 64 << 20
        } _: { relay in
            try await alice.join(relay)
            try await bob.join(relay)
            bob.pauseReading()
            // It is heard of all the time, and takes nothing.
            let heartbeat = Task {
                while !Task.isCancelled {
                    bob.send(["type": "heartbeat"])
                    alice.send(["type": "heartbeat"])
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            defer { heartbeat.cancel() }
            // More than the buffers of two sockets hold.
            for number in 0..<400 {
                alice.message("\(number)", to: bob.did, size: 50_000)
                if number % 50 == 49 { _ = try await alice.next("receipt", count: number + 1) }
            }
            try await waitUntil("it is closed") {
                relay.metric("kars_relay_connections_closed_total{reason=\"stalled\"}") == 1
            }
            // Its mail waits for its return.
            #expect(relay.metric("kars_relay_inbox_messages") == 400)
            try await waitUntil("its connection is gone") { relay.metric("kars_relay_connections") == 1 }
            #expect(alice.closing == nil)
        }
    }

    @Test func overTLSItServesThoseWhoTrustItsAuthority() async throws {
        let folder = TemporaryFolder()
        let certificate = folder.file("cert.pem")
        let key = folder.file("key.pem")
        let made = await (try ChildProcess(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
            ])).wait()
        try #require(made.status == 0, "\(made.err)")
        try await TestRelay.run {
            $0.tls = ServerTLS(certificateFile: certificate, keyFile: key)
        } _: { relay in
            let trusting = ClientTLS(caFile: certificate)
            try await alice.join(relay, tls: trusting)
            try await bob.join(relay, tls: trusting, acks: true)
            for number in 0..<20 { alice.message("\(number)", to: bob.did, size: 30_000) }
            _ = try await bob.next("message", count: 20)
            #expect(bob.ids() == (0..<20).map(String.init))
            await #expect(throws: TransportError.self) { try await MeshClient().open(relay, tls: ClientTLS()) }
            await #expect(throws: TransportError.self) { try await MeshClient().open(relay) }
        }
    }
}
