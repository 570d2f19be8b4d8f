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
        _ endpoint: Endpoint = .tcp(host: "127.0.0.1", port: 0), folder name: String = "data", tls: ServerTLS? = nil,
        allowPlaintext: Bool = false, threads: Int = 1
    ) throws -> RegistryService {
        let metrics = Metrics()
        return try RegistryService(
            configuration: RegistryConfiguration(
                endpoint: endpoint, dataFolder: folder.file(name), tls: tls, allowPlaintext: allowPlaintext,
                threads: threads),
            logger: .silent, metrics: metrics, health: Health(metrics: metrics))
    }

    /// What speaks to a running service.
    private struct Caller: Sendable {
        let client: HTTPClient
        let url: ServiceURL

        func send(
            _ method: String, _ path: String, body: [UInt8] = [], as identity: Identity? = nil
        ) async throws -> HTTPClientResponse {
            var headers: HTTPHeaders = ["content-type": "application/json"]
            headers["authorization"] = identity.map { TimestampAuthorization.header(for: $0, now: Date()) }
            return try await client.send(
                HTTPClientRequest(method: method, url: url.appending(path: path), headers: headers, body: body))
        }
    }

    /// Runs a service and a client, and stops both whatever happens.
    private func withService(
        threads: Int = 1, certificate: (file: String, key: String)? = nil, _ body: (Caller) async throws -> Void
    ) async throws {
        let tls = certificate.map { ServerTLS(certificateFile: $0.file, keyFile: $0.key) }
        let service = try makeService(tls: tls, threads: threads)
        let loop = try EventLoop(name: "client")
        let result: Result<Void, any Error>
        do {
            let endpoint = try await service.start()
            let client = HTTPClient(loop: loop, tls: ClientTLS(caFile: certificate?.file))
            let scheme = certificate == nil ? "http" : "https"
            try await body(Caller(client: client, url: try ServiceURL(parsing: "\(scheme)://\(endpoint)")))
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
        try await withService(threads: 2) { registry async throws -> Void in
            let agent = Identity.generate(), home = Identity.generate()
            for identity in [agent, home] {
                let body = RegistrationRequest.make(identity: identity, capabilities: ["chat"], now: Date()).encode()
                #expect(try await registry.send("POST", "/v1/agents", body: body).status == 201)
            }
            let path = "/v1/agents/\(agent.did)"
            let upload = Array(
                try JSONSerialization.data(withJSONObject: makeUpload(of: agent, oneTime: makeOneTime(0..<1))))
            #expect(try await registry.send("PUT", path + "/prekeys", body: upload).status == 401)
            #expect(try await registry.send("PUT", path + "/prekeys", body: upload, as: agent).status == 200)
            let bundle = try await registry.send("GET", path + "/prekeys")
            #expect(bundle.status == 200)
            #expect(String(decoding: bundle.body, as: UTF8.self).contains("\"key_id\":0"))
            let found = try await registry.send("GET", "/v1/discover?capability=chat&limit=1")
            #expect(String(decoding: found.body, as: UTF8.self).contains("\"total\":2"))
            let update = HomeUpdate.make(agent: agent.did, epoch: 1, home: home.did, signer: agent, now: Date())
            let body = Array(try JSONEncoder().encode(update))
            let moved = try await registry.send("PUT", "/v1/agents/\(agent.publicKey.amid)/home", body: body)
            #expect(moved.status == 200)
            let record = try await registry.send("GET", path + "/home")
            #expect(try JSONDecoder().decode(HomeRecord.self, from: Data(record.body)).home == home.did.text)
            let removed = try await registry.send("DELETE", "/v1/agents/\(home.did)", as: home)
            #expect(removed.status == 204)
            #expect(removed.body.isEmpty)
            let long = try await registry.send("POST", "/v1/agents", body: [UInt8](repeating: 0x20, count: 300_000))
            #expect(long.status == 413)
            #expect(String(decoding: long.body, as: UTF8.self).contains("detail"))
            #expect(try await registry.send("GET", "/readyz").status == 200)
            let metrics = try await registry.send("GET", "/metrics")
            #expect(String(decoding: metrics.body, as: UTF8.self).contains("kars_registry_registrations_total 2\n"))
        }
    }

    @Test func aRegistryWithACertificateSpeaksTLS() async throws {
        let certificate = (file: folder.file("cert.pem"), key: folder.file("key.pem"))
        let openssl = try ChildProcess(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", certificate.key, "-out",
                certificate.file,
            ])
        #expect(await openssl.wait().status == 0)
        try await withService(certificate: certificate) { registry async throws -> Void in
            #expect(try await registry.send("GET", "/health").status == 200)
        }
    }

    @Test func aRegistryThatCannotListenSaysWhereAndMayTryAgain() async throws {
        let first = try makeService(folder: "first")
        let endpoint = try await first.start()
        let second = try makeService(endpoint, folder: "second")
        let error = await #expect(throws: TransportError.self) { try await second.start() }
        #expect(error.map { "\($0)" }?.contains("\(endpoint)") == true)
        await first.stop()
        let again = try? await second.start()
        #expect(again == endpoint)
        await second.stop()
    }

    @Test func aStoppedRegistryLeavesItsFolderToTheNext() async throws {
        let agent = Identity.generate()
        try await withService { registry async throws -> Void in
            let body = RegistrationRequest.make(identity: agent, now: Date()).encode()
            #expect(try await registry.send("POST", "/v1/agents", body: body).status == 201)
        }
        try await withService { registry async throws -> Void in
            #expect(try await registry.send("GET", "/v1/agents/\(agent.did)").status == 200)
        }
    }

    @Test func aServiceStartsOnce() async throws {
        let service = try makeService()
        await service.stop()
        await #expect(throws: RegistryError.self) { try await service.start() }
        await service.stop()
    }
}
