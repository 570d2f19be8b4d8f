import Foundation
import MeshIdentity
import Observability
import TestSupport
import Testing
import Transport

@testable import Relay

struct RelayServiceTests {
    func configuration(_ endpoint: Endpoint, in folder: TemporaryFolder) -> RelayConfiguration {
        RelayConfiguration(endpoint: endpoint, dataFolder: folder.file("relay"))
    }

    func make(_ configuration: RelayConfiguration) throws -> RelayService {
        let metrics = Metrics()
        return try RelayService(
            configuration: configuration, logger: .silent, metrics: metrics, health: Health(metrics: metrics))
    }

    @Test func plaintextBeyondLoopbackIsRefusedUnlessAllowed() async throws {
        let folder = TemporaryFolder()
        var open = configuration(.tcp(host: "0.0.0.0", port: 0), in: folder)
        do {
            _ = try make(open)
            Issue.record("it was accepted")
        } catch {
            let text = "\(error)"
            #expect(text.contains("--tls-cert") && text.contains("--tls-key") && text.contains("--allow-plaintext"))
        }
        open.allowPlaintext = true
        let service = try make(open)
        #expect(try await service.start().port != 0)
        await service.stop()
    }

    @Test func whatCannotWorkIsRefused() {
        let folder = TemporaryFolder()
        let loopback = Endpoint.tcp(host: "127.0.0.1", port: 0)
        for change: (inout RelayConfiguration) -> Void in [
            { $0.requireRegistration = true }, { $0.threads = 0 }, { $0.sharedToken = [] },
        ] {
            var changed = configuration(loopback, in: folder)
            change(&changed)
            #expect(throws: RelayError.self) { try make(changed) }
        }
    }

    @Test func twoRelaysCannotShareAFolder() async throws {
        let folder = TemporaryFolder()
        try await TestRelay.run(in: folder) { _ in
            let second = try make(configuration(.tcp(host: "127.0.0.1", port: 0), in: folder))
            await #expect(throws: (any Error).self) { try await second.start() }
        }
    }

    @Test func itStartsOnce() async throws {
        try await TestRelay.run { relay in
            await #expect(throws: RelayError.self) { try await relay.service.start() }
        }
    }

    @Test func healthCountsAgentsAndMessages() async throws {
        try await TestRelay.run { relay in
            let alice = MeshClient()
            try await alice.join(relay)
            alice.message("1", to: MeshClient().did)
            _ = try await alice.next("receipt")
            let answer = try await relay.get("/health")
            #expect(answer.status == 200)
            let report = try #require(
                JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])
            #expect(report["status"] as? String == "healthy")
            #expect(report["service"] as? String == "agentmesh-relay")
            #expect(report["connected_agents"] as? Int == 1)
            #expect(report["verified_agents"] as? Int == 0)
            let stats = try #require(report["stats"] as? [String: Int])
            #expect(stats == ["messages_routed": 1, "messages_stored": 1, "messages_delivered": 0])
        }
    }

    @Test func probesAndMetricsAreServed() async throws {
        try await TestRelay.run { relay in
            #expect(try await relay.get("/healthz").status == 200)
            #expect(try await relay.get("/readyz").status == 200)
            let metrics = String(decoding: try await relay.get("/metrics").body, as: UTF8.self)
            for reason in DropReason.allCases {
                #expect(metrics.contains("kars_relay_frames_dropped_total{reason=\"\(reason.rawValue)\"} 0"))
            }
            for reason in CloseReason.allCases {
                #expect(metrics.contains("kars_relay_connections_closed_total{reason=\"\(reason.rawValue)\"} 0"))
            }
            #expect(try await relay.get("/nothing").status == 404)
            #expect(try await relay.get("/").status == 404)
            #expect(try await relay.get("/health", method: "POST").status == 405)
        }
    }

    @Test func stoppingClosesClientsWith1012() async throws {
        let alice = MeshClient()
        let idle = MeshClient()
        try await TestRelay.run { relay in
            try await alice.join(relay)
            try await idle.open(relay)
            await relay.service.stop()
            #expect(try await alice.closeCode() == 1012)
            #expect(try await idle.closeCode() == 1012)
            #expect(!relay.health.isReady)
        }
    }

    @Test func onlyRegisteredAgentsAreAdmittedWhenItIsRequired() async throws {
        let registered = MeshClient()
        let verified = MeshClient()
        let unknown = MeshClient()
        let loop = try EventLoop(name: "registry")
        let registry = try await Server(loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0)) { request in
            switch request.path {
            case "/v1/agents/\(registered.did)": .json(["did": registered.did, "tier": "anonymous"])
            case "/v1/agents/\(verified.did)": .json(["did": verified.did, "tier": "verified"])
            default: .json(["detail": "not found"], status: 404)
            }
        }
        let url = try ServiceURL(parsing: "http://\(registry.endpoint)")
        try await TestRelay.run {
            $0.requireRegistration = true
            $0.registry = url
            $0.limits.registeredFor = .seconds(600)
        } _: { relay in
            // What it sends before it is admitted is handled afterwards.
            try await registered.connect(relay, as: registered.identity.publicKey.amid)
            registered.message("early", to: registered.did)
            #expect(try await registered.next("message").id == "early")
            try await verified.join(relay)
            #expect(relay.metric("kars_relay_verified_agents") == 1)
            try await unknown.connect(relay)
            #expect(try await unknown.closeCode() == 4003)
            #expect(unknown.frames.first?["detail"] == "\(unknown.did) is not registered")
            // Without its registry the relay believes a fresh answer, and admits nobody else.
            await registry.close()
            let again = MeshClient(verified.identity)
            try await again.join(relay)
            let other = MeshClient()
            try await other.connect(relay)
            #expect(try await other.closeCode() == 1013)
            #expect(other.frames.first?["detail"] == "the registry is unavailable, try again later")
        }
        loop.shutdown()
    }
}
