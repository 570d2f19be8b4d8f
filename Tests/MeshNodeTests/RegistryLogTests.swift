import Foundation
import MeshIdentity
import MeshTestSupport
import Observability
import Registry
import Synchronization
import TestSupport
import Testing
import Transport

@testable import MeshNode

/// A registry between the peer and the real one that can change what it says.
private final class TwoFacedRegistry: Sendable {
    let loop: EventLoop
    let url: ServiceURL
    private let server: Server
    private let lie: Lie

    /// Path of the request and the real answer, to what is said instead.
    typealias Change = @Sendable (_ path: String, _ text: String) -> String

    private final class Lie: Sendable { let change = Mutex<Change?>(nil) }

    init(before real: ServiceURL) async throws {
        let loop = try EventLoop(name: "two-faced")
        let lie = Lie()
        let client = HTTPClient(loop: loop)
        server = try await Server(loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { request in
            let path = request.path + (request.query.map { "?\($0)" } ?? "")
            var headers: HTTPHeaders = [:]
            for name in ["authorization", "content-type"] { headers[name] = request.headers[name] }
            guard let answer = try? await client.send(
                HTTPClientRequest(
                    method: request.method, url: real.appending(path: path), headers: headers, body: request.body))
            else { return HTTPResponse(status: 502) }
            let text = String(decoding: answer.body, as: UTF8.self)
            let said = lie.change.withLock { $0 }?(path, text) ?? text
            return .text(said, status: answer.status, contentType: "application/json")
        })
        self.loop = loop
        self.lie = lie
        url = try ServiceURL(parsing: "http://\(server.endpoint)")
    }

    func say(_ change: @escaping Change) { lie.change.withLock { $0 = change } }

    func stop() async {
        await server.close()
        loop.shutdown()
    }
}

struct RegistryLogTests {
    private let folder = TemporaryFolder()

    private func client(_ registry: TwoFacedRegistry) throws -> RegistryClient {
        RegistryClient(
            url: registry.url, tls: ClientTLS(), loop: registry.loop,
            log: try RegistryLog(registry: registry.url, folder: folder.path))
    }

    private func withRegistry(_ body: (TestMesh, TwoFacedRegistry) async throws -> Void) async throws {
        let mesh = try await TestMesh()
        let registry = try await TwoFacedRegistry(before: mesh.registryURL)
        let result: Result<Void, any Error>
        do { result = .success(try await body(mesh, registry)) } catch { result = .failure(error) }
        await registry.stop()
        await mesh.stop()
        try result.get()
    }

    /// Registers an agent with its home, and returns the agent.
    private func settle(_ client: RegistryClient, home: Identity) async throws -> DID {
        let agent = Identity.generate()
        try await client.register(agent, capabilities: [], metadata: [:])
        try await client.setHome(
            of: agent.did, .make(agent: agent.did, epoch: 1, home: home.did, signer: agent, now: Date()))
        return agent.did
    }

    private func refusal(_ body: () async throws -> HomeRecord?) async -> String {
        do {
            return "believed \(String(describing: try await body()))"
        } catch let failure as OperationFailure {
            return "\(failure.code): \(failure.message)"
        } catch {
            return "\(error)"
        }
    }

    @Test func aHomeThatTheLogHoldsIsBelievedAlsoWhileTheLogGrows() async throws {
        try await withRegistry { _, registry in
            let client = try client(registry), home = Identity.generate()
            try await client.register(home, capabilities: [], metadata: [:])
            #expect(try await client.home(of: Identity.generate().did) == nil)
            let agents = try await withThrowingTaskGroup(of: DID.self) { group in
                for _ in 0..<20 { group.addTask { try await settle(client, home: home) } }
                var agents: [DID] = []
                for try await agent in group { agents.append(agent) }
                return agents
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for agent in agents {
                    group.addTask {
                        let record = try await client.home(of: agent)
                        #expect(record?.home == home.did.canonical)
                    }
                    group.addTask { _ = try await settle(client, home: home) }
                }
                try await group.waitForAll()
            }
            // Another start goes on from what was seen.
            let key = try await client.signingKey()
            let later = try RegistryLog(registry: registry.url, folder: folder.path)
            let known = await later.key
            #expect(known == key)
        }
    }

    @Test func anAgentThatIsItsOwnHomeIsFollowedToItsNewKey() async throws {
        try await withRegistry { _, registry in
            let client = try client(registry), old = Identity.generate(), new = Identity.generate()
            for identity in [old, new] { try await client.register(identity, capabilities: [], metadata: [:]) }
            let certificate = SuccessionCertificate.make(old: old, new: new, reason: "new disk", epoch: 1, now: Date())
            try await client.succeed(certificate)
            let record = try await client.home(of: old.did)
            #expect(record?.did == new.did.canonical)
            #expect(record?.home == new.did.canonical)
            let thief = Identity.generate()
            registry.say { path, text in
                path.hasSuffix("/home") ? text.replacing(new.did.canonical, with: thief.did.canonical) : text
            }
            let said = await refusal { try await client.home(of: old.did) }
            #expect(said.hasPrefix("refused: the registry"), "\(said)")
        }
    }

    @Test func aHomeThatOnlyThisPeerIsToldIsRefused() async throws {
        try await withRegistry { _, registry in
            let client = try client(registry), home = Identity.generate(), thief = Identity.generate()
            try await client.register(home, capabilities: [], metadata: [:])
            let agent = try await settle(client, home: home)
            registry.say { path, text in
                path.hasSuffix("/home") ? text.replacing(home.did.canonical, with: thief.did.canonical) : text
            }
            let said1 = await refusal { try await client.home(of: agent) }
            #expect(said1.hasPrefix("refused: the registry"), "\(said1)")
            registry.say { path, text in path.hasSuffix("/home") ? text.replacing("\"epoch\":1", with: "\"epoch\":2") : text }
            let said2 = await refusal { try await client.home(of: agent) }
            #expect(said2.contains("is not the one in its log"), "\(said2)")
            // An entry that nobody signed.
            registry.say { path, text in
                path.contains("/log/proof") || path.hasSuffix("/home")
                    ? text.replacing(home.did.canonical, with: thief.did.canonical) : text
            }
            let said3 = await refusal { try await client.home(of: agent) }
            #expect(said3.contains("not in the registry's log"), "\(said3)")
            registry.say { _, text in text }
            #expect(try await client.home(of: agent)?.home == home.did.canonical)
        }
    }

    @Test func aLogThatBeginsAnewIsRefusedUntilThePersonSaysSo() async throws {
        let first = Identity.generate()
        try await withRegistry { mesh, registry in
            let client = try client(registry)
            try await client.register(first, capabilities: [], metadata: [:])
            _ = try await settle(client, home: first)
            let key = try await client.signingKey()
            let other = try await TestMesh()
            let impostor = try await TwoFacedRegistry(before: other.registryURL)
            let real = try String(contentsOfFile: folder.file("registry-log.json"), encoding: .utf8)
            // The same address answers from another registry.
            try real.replacing("\(registry.url)", with: "\(impostor.url)")
                .write(toFile: folder.file("registry-log.json"), atomically: true, encoding: .utf8)
            let fooled = try self.client(impostor)
            try await fooled.register(first, capabilities: [], metadata: [:])
            let agent = try await settle(fooled, home: first)
            let text = await refusal { try await fooled.home(of: agent) }
            #expect(text.hasPrefix("refused:") && text.contains("not signed by the registry's key"), "\(text)")
            try FileManager.default.removeItem(atPath: folder.file("registry-log.json"))
            let trusting = try self.client(impostor)
            #expect(try await trusting.home(of: agent)?.home == first.did.canonical)
            let newKey = try await trusting.signingKey()
            #expect(newKey != key)
            await impostor.stop()
            await other.stop()
        }
    }

    @Test func aDamagedFileIsNotQuietlyForgotten() throws {
        let url = try ServiceURL(parsing: "http://127.0.0.1:1")
        try "[{".write(toFile: folder.file("registry-log.json"), atomically: true, encoding: .utf8)
        #expect(throws: OperationFailure.self) { try RegistryLog(registry: url, folder: folder.path) }
    }
}
