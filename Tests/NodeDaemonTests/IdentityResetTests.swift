import Foundation
import MeshIdentity
import MeshNode
import TestSupport
import Testing
import Transport

/// `kars mesh reset` of a peer that a real registry knows.
@Suite(.serialized) struct IdentityResetTests {
    private static func reset(_ home: String, _ options: String...) async throws -> ChildProcess.Output {
        let process = try ChildProcess(
            MeshFixture.kars, ["mesh", "reset", "--yes"] + options, environment: ["KARS_HOME": home])
        return await process.wait()
    }

    @Test func aResetWithdrawsTheRegistrationFirst() async throws {
        let mesh = try await ProcessMesh()
        let node = try await NodeProcess("node", mesh)
        let did = try DID(parsing: try await node.client.call(PeerStatus()).did)
        let registry = RegistryClient(url: try ServiceURL(parsing: mesh.registryURL), tls: ClientTLS(), loop: mesh.loop)
        #expect(try await registry.agent(did) != nil)
        await node.stop()
        let output = try await Self.reset(node.home)
        #expect(output.status == 0 && output.out.contains(did.text), "\(output.err)")
        #expect(try await registry.agent(did) == nil)
        #expect(!FileManager.default.fileExists(atPath: node.home + "/mesh-identity.json"))
        await mesh.stop()
    }

    @Test func aRegistryThatDoesNotAnswerKeepsTheIdentityUnlessItIsGivenUp() async throws {
        let mesh = try await ProcessMesh()
        let node = try await NodeProcess("node", mesh)
        await node.stop()
        await mesh.stop()
        let refused = try await Self.reset(node.home)
        #expect(refused.status == 1 && refused.out == "")
        #expect(refused.err.contains("does not take the identity back") && refused.err.contains("--keep-registration"))
        #expect(FileManager.default.fileExists(atPath: node.home + "/mesh-identity.json"))
        #expect(try await Self.reset(node.home, "--keep-registration").status == 0)
        #expect(!FileManager.default.fileExists(atPath: node.home + "/mesh-identity.json"))
    }
}
