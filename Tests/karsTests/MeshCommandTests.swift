import Foundation
import MeshIdentity
import Storage
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

struct MeshCommandTests {
    private let home = TemporaryFolder()

    private func makeIdentity() throws -> Identity {
        try Keystore(folder: home.path, sealer: KeySealers.machineKey(folder: home.path)).loadOrCreate()
    }

    @Test func statusComesFromTheNodeWhenItRuns() async throws {
        let node = try await ScriptedNode()
        node.on(PeerStatus.self) { _ in
            .init(
                name: "laptop", did: "did:mesh:x", amid: "x", publicKey: "k", relay: "ws://r",
                relayConnected: true, registry: "http://g", registered: false, sandboxes: 2, pairings: 1,
                gateway: "http://127.0.0.1:1")
        }
        let output = try await node.kars("mesh", "status")
        #expect(output.status == 0)
        #expect(output.out.contains("ws://r (connected)"))
        #expect(output.out.contains("http://g (not registered)"))
        await node.close()
    }

    @Test func statusComesFromTheFileWhenNoNodeRuns() async throws {
        let identity = try makeIdentity()
        let output = try await BuiltProgram.run(["mesh", "status"], home: home)
        #expect(output.status == 0)
        #expect(output.out.contains(identity.did.text))
        #expect(output.out.contains("does not run"))
    }

    @Test func resetDeletesTheIdentityAfterConsent() async throws {
        let identity = try makeIdentity()
        let unasked = try await BuiltProgram.run(["mesh", "reset"], home: home)
        #expect(unasked.status == 2)
        #expect(FileManager.default.fileExists(atPath: home.file("mesh-identity.json")))
        let output = try await BuiltProgram.run(["mesh", "reset", "--yes"], home: home)
        #expect(output.status == 0)
        #expect(output.out.contains(identity.did.text))
        #expect(!FileManager.default.fileExists(atPath: home.file("mesh-identity.json")))
    }

    @Test func revokeAsksAndTellsTheNodeTheReason() async throws {
        let node = try await ScriptedNode()
        node.on(PeerStatus.self) { _ in
            .init(
                name: "laptop", did: "did:mesh:x", amid: "x", publicKey: "k", relay: "ws://r",
                relayConnected: true, registry: "http://g", registered: true, sandboxes: 0, pairings: 0,
                gateway: "http://127.0.0.1:1")
        }
        let record = Reasons()
        node.on(RevokeIdentity.self) { request in
            record.reasons.withLock { $0.append(request.reason) }
            return .init(did: "did:mesh:x")
        }
        let unasked = try await node.kars("mesh", "revoke", "--reason", "stolen")
        #expect(unasked.status == 2)
        #expect(record.reasons.withLock { $0 } == [])
        let output = try await node.kars("mesh", "revoke", "--reason", "stolen", "--yes")
        #expect(output.status == 0)
        #expect(output.out == "revoked did:mesh:x\n")
        #expect(record.reasons.withLock { $0 } == ["stolen"])
        await node.close()
    }

    private final class Reasons: Sendable { let reasons = Mutex<[String]>([]) }

    @Test func resetIsRefusedWhileTheNodeRuns() async throws {
        _ = try makeIdentity()
        let lock = try FileLock(path: home.file("node.lock"))
        let output = try await BuiltProgram.run(["mesh", "reset", "--yes"], home: home)
        #expect(output.status == 1)
        #expect(output.err.contains("the node runs"))
        #expect(FileManager.default.fileExists(atPath: home.file("mesh-identity.json")))
        withExtendedLifetime(lock) {}
    }

    @Test func theListShowsPairingsAndAgentsThatMoved() async throws {
        let node = try await ScriptedNode()
        node.on(ListPairings.self) { _ in [ScriptedNode.pairing("cloud")] }
        node.on(ListSandboxes.self) { _ in
            [("stays", 1), ("moved", 2)].map { name, epoch in
                SandboxSummary(
                    name: name, runtime: "byo", status: "running", driver: "embedded", did: "did:mesh:x", home: "cloud",
                    homeDID: "did:mesh:y", epoch: epoch, createdAt: Date(), gatewayURL: nil, tokenFile: nil, limits: [])
            }
        }
        let output = try await node.kars("mesh", "list")
        #expect(output.status == 0)
        #expect(output.out.contains("cloud"))
        #expect(output.out.contains("moved"))
        #expect(!output.out.contains("stays"))
        let json = try await node.kars("mesh", "list", "-o", "json")
        #expect(json.out.contains("\"pairings\"") && json.out.contains("\"agents\""))
        await node.close()
    }

    @Test func unpairEndsWhatIsNamedAndAsksElse() async throws {
        let node = try await ScriptedNode()
        node.on(ListPairings.self) { _ in [ScriptedNode.pairing("z"), ScriptedNode.pairing("b")] }
        node.on(RemovePairing.self) { ScriptedNode.pairing($0.pairingName) }
        #expect(try await node.kars("mesh", "unpair").status == 2)
        #expect(try await node.kars("mesh", "unpair", "--all", "--name", "b").status == 2)
        #expect(node.requests(RemovePairing.self).isEmpty)
        #expect(try await node.kars("mesh", "unpair", "--name", "b").out == "unpaired b\n")
        #expect(try await node.kars("mesh", "unpair", "--all").out == "unpaired b\nunpaired z\n")
        #expect(node.requests(RemovePairing.self).map(\.pairingName) == ["b", "b", "z"])
        await node.close()
    }
}
