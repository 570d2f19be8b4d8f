import Foundation
import MeshIdentity
import Observability
import TestSupport
import Testing
import Transport

@testable import Registry

struct RegistryServiceTests {
    let folder = TemporaryFolder()

    private func makeService(
        _ endpoint: Endpoint = .tcp(host: "127.0.0.1", port: 0), allowPlaintext: Bool = false, threads: Int = 1
    ) throws -> RegistryService {
        let metrics = Metrics()
        return try RegistryService(
            configuration: RegistryConfiguration(
                endpoint: endpoint, dataFolder: folder.file("data"), allowPlaintext: allowPlaintext, threads: threads),
            logger: .silent, metrics: metrics, health: Health(metrics: metrics))
    }

    /// Runs a service and a client, and stops both whatever happens.
    private func withService(
        threads: Int = 1, _ body: (@escaping @Sendable (String, String, [UInt8], HTTPHeaders) async throws -> (Int, String)) async throws -> Void
    ) async throws {
        let service = try makeService(threads: threads)
        let loop = try EventLoop(name: "client")
        let result: Result<Void, any Error>
        do {
            let endpoint = try await service.start()
            let url = try ServiceURL(parsing: "http://\(endpoint)")
            let client = HTTPClient(loop: loop)
            try await body { method, path, bytes, headers in
                let answer = try await client.send(
                    HTTPClientRequest(method: method, url: url.appending(path: path), headers: headers, body: bytes))
                return (answer.status, String(decoding: answer.body, as: UTF8.self))
            }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await service.stop()
        loop.shutdown()
        try result.get()
    }

    @Test func aRegistryBeyondLoopbackNeedsTLSOrLeave() throws {
        for host in ["0.0.0.0", "::", "192.0.2.1"] {
            let error = #expect(throws: RegistryError.self) {
                try makeService(.tcp(host: host, port: 0))
            }
            let text = error.map { "\($0)" } ?? ""
            for flag in ["--tls-cert", "--tls-key", "--allow-plaintext"] { #expect(text.contains(flag)) }
        }
        _ = try makeService(.tcp(host: "0.0.0.0", port: 0), allowPlaintext: true)
    }

    @Test func anAgentIsServedOverSockets() async throws {
        try await withService(threads: 2) { send in
            let agent = Identity.generate(), home = Identity.generate()
            for identity in [agent, home] {
                let body = RegistrationRequest.make(identity: identity, capabilities: ["chat"], now: Date()).encode()
                #expect(try await send("POST", "/v1/agents", body, ["content-type": "application/json"]).0 == 201)
            }
            let upload = Array(
                try JSONSerialization.data(withJSONObject: makeUpload(of: agent, oneTime: makeOneTime(0..<1))))
            let proof: HTTPHeaders = ["authorization": TimestampAuthorization.header(for: agent, now: Date())]
            #expect(try await send("PUT", "/v1/agents/\(agent.did)/prekeys", upload, proof).0 == 200)
            #expect(try await send("PUT", "/v1/agents/\(agent.did)/prekeys", upload, [:]).0 == 401)
            let (status, bundle) = try await send("GET", "/v1/agents/\(agent.did)/prekeys", [], [:])
            #expect(status == 200)
            #expect(bundle.contains("\"key_id\":0"))
            let found = try await send("GET", "/v1/discover?capability=chat&limit=1", [], [:])
            #expect(found.1.contains("\"total\":2"))
            let update = HomeUpdate.make(agent: agent.did, epoch: 1, home: home.did, signer: agent, now: Date())
            let body = Array(try JSONEncoder().encode(update))
            #expect(try await send("PUT", "/v1/agents/\(agent.publicKey.amid)/home", body, [:]).0 == 200)
            let record = try await send("GET", "/v1/agents/\(agent.did)/home", [], [:])
            #expect(try JSONDecoder().decode(HomeRecord.self, from: Data(record.1.utf8)).home == home.did.text)
            let removal: HTTPHeaders = ["authorization": TimestampAuthorization.header(for: home, now: Date())]
            #expect(try await send("DELETE", "/v1/agents/\(home.did)", [], removal).0 == 204)
            #expect(try await send("GET", "/readyz", [], [:]).0 == 200)
            #expect(try await send("GET", "/metrics", [], [:]).1.contains("kars_registry_registrations_total 2\n"))
        }
    }

    @Test func aStoppedRegistryLeavesItsFolderToTheNext() async throws {
        let agent = Identity.generate()
        try await withService { send in
            let body = RegistrationRequest.make(identity: agent, now: Date()).encode()
            #expect(try await send("POST", "/v1/agents", body, [:]).0 == 201)
        }
        try await withService { send in
            #expect(try await send("GET", "/v1/agents/\(agent.did)", [], [:]).0 == 200)
        }
    }

    @Test func aServiceStartsOnce() async throws {
        let service = try makeService()
        await service.stop()
        await #expect(throws: RegistryError.self) { try await service.start() }
        await service.stop()
    }
}
