import Foundation
import MeshIdentity
import MeshNode
import TestSupport
import Testing

/// What is left when processes are killed and disks are full, with real processes.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct FailureTests {
    static func paired(
        cloudWrapper: [String] = [], localEnvironment: [String: String] = NodeProcess.embedded,
        cloudEnvironment: [String: String] = NodeProcess.embedded
    ) async throws -> (ProcessMesh, NodeProcess, NodeProcess) {
        let mesh = try await ProcessMesh()
        let local = try await NodeProcess("local", mesh, environment: localEnvironment)
        let cloud = try await NodeProcess("cloud", mesh, wrapper: cloudWrapper, environment: cloudEnvironment)
        let token = try await cloud.client.call(
            GeneratePairing(
                pairingName: nil, lifetime: 600, tokenBudget: 1000, slots: 1, capabilities: [.handoff],
                relayURL: nil, registryURL: nil)
        ).token
        _ = try await local.client.call(AcceptPairing(token: token))
        return (mesh, local, cloud)
    }

    static func fill(_ home: String, agent: String, megabytes: Int) throws {
        var random = SeededRandom(seed: 7)
        var bytes = Data(capacity: megabytes << 20)
        for _ in 0..<(megabytes << 17) { withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) } }
        try bytes.write(to: URL(fileURLWithPath: "\(home)/node/sandboxes/\(agent)/workspace/data"))
    }

    /// A node whose data folder is a file system of its own and of the given size.
    static func smallDisk(_ megabytes: Int, at folder: String) -> [String] {
        let script = "mkdir -p \(folder) && mount -t tmpfs -o size=\(megabytes)m kars \(folder) && exec \"$@\""
        return ["unshare"] + (getuid() == 0 ? ["-m"] : ["-rm"]) + ["sh", "-c", script, "sh"]
    }

    @Test(arguments: [(80, 20), (300, 130)])
    func aFullDiskAtTheTargetRefusesTheMoveAndTheAgentServesOn(_ disk: Int, _ workspace: Int) async throws {
        let mesh = try await ProcessMesh()
        let local = try await NodeProcess("local", mesh)
        let cloud = try await NodeProcess(
            "cloud", mesh, wrapper: Self.smallDisk(disk, at: mesh.folder.file("cloud/node")))
        let token = try await cloud.client.call(
            GeneratePairing(
                pairingName: nil, lifetime: 600, tokenBudget: 1000, slots: 1, capabilities: [.handoff],
                relayURL: nil, registryURL: nil)
        ).token
        _ = try await local.client.call(AcceptPairing(token: token))
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.chat("one", with: "a")
        try Self.fill(local.home, agent: "a", megabytes: workspace)
        _ = try await local.client.call(StartHandoff(sandboxName: "a", target: "cloud"))
        try await waitUntil("the move has ended", within: .seconds(90)) { try await local.status(of: "a").phase.isOver }
        let move = try await local.status(of: "a")
        #expect(move.phase == .aborted)
        #expect(move.error?.contains("no room") == true || move.error?.contains("disk is full") == true)
        #expect(try await local.chat("two", with: "a").remembered.previous == "one")
        #expect(try await cloud.client.call(ListSandboxes()).isEmpty)
        await local.stop()
        await cloud.stop()
        await mesh.stop()
    }

    @Test func anAgentOutlivesItsKilledNode() async throws {
        let (mesh, local, cloud) = try await Self.paired()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        let first = try await local.chat("one", with: "a")
        await local.kill()
        try await local.restart()
        let second = try await local.chat("two", with: "a")
        #expect(second.turn == first.turn + 1 && second.remembered.previous == "one")
        // The pairing is still there and works.
        _ = try await local.client.call(StartHandoff(sandboxName: "a", target: "cloud"))
        try await waitUntil("the move has ended", within: .seconds(60)) { try await local.status(of: "a").phase.isOver }
        #expect(try await local.status(of: "a").phase == .complete)
        #expect(try await cloud.chat("three", with: "a").remembered.previous == "two")
        await local.stop()
        await cloud.stop()
        await mesh.stop()
    }

    /// What a crash in the middle of a removal leaves: the node starts, and the removal can be finished.
    @Test(arguments: [false, true])
    func aRemovalThatWasCutOffCanBeFinished(_ hasLostItsSecrets: Bool) async throws {
        let mesh = try await ProcessMesh()
        let local = try await NodeProcess("local", mesh)
        for name in ["a", "b"] { _ = try await local.client.call(CreateSandbox(sandboxName: name)) }
        _ = try await local.chat("one", with: "b")
        await local.kill()
        SandboxSweep.end(below: local.home)
        try FileManager.default.removeItem(atPath: local.home + "/node/sandboxes/a")
        if hasLostItsSecrets {
            let store = try NodeStore(folder: local.home + "/node", sealer: KeySealers.machineKey(folder: local.home))
            for secret in ["agent-key:a", "gateway-token:a"] { try await store.removeSecret(secret) }
            store.close()
        }
        try await local.restart()
        #expect(try await local.chat("two", with: "b").remembered.previous == "one")
        _ = try await local.client.call(DestroySandbox(sandboxName: "a"))
        #expect(try await local.client.call(ListSandboxes()).map(\.name) == ["b"])
        // The name is free.
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        await local.stop()
        await mesh.stop()
    }

    /// Kills one side while the workspace is copied: the move ends, one place has the agent, with its memory.
    @Test(arguments: ["source", "target"])
    func aKillDuringTheCopyCostsNoAgent(_ victim: String) async throws {
        let (mesh, local, cloud) = try await Self.paired()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.chat("one", with: "a")
        try Self.fill(local.home, agent: "a", megabytes: 48)
        _ = try await local.client.call(StartHandoff(sandboxName: "a", target: "cloud"))
        let moves = cloud.home + "/node/moves"
        try await waitUntil("chunks arrive") {
            let move = try? FileManager.default.contentsOfDirectory(atPath: moves).first
            return move.map { FileManager.default.fileExists(atPath: "\(moves)/\($0)/chunks") } ?? false
        }
        let process = victim == "source" ? local : cloud
        await process.kill()
        try await process.restart()
        try await waitUntil("the move has ended", within: .seconds(120)) {
            try await local.status(of: "a").phase.isOver
        }
        let phase = try await local.status(of: "a").phase
        // A target that was away only for a moment may be offered the agent again, and take it.
        #expect(phase == .aborted || (phase == .complete && victim == "target"))
        #expect(try await local.client.call(SandboxStatus(sandboxName: "a")).home == (phase == .complete ? "cloud" : "local"))
        #expect(try await cloud.client.call(ListSandboxes()).count == (phase == .complete ? 1 : 0))
        try await waitUntil("the target keeps nothing of the move", within: .seconds(60)) {
            try FileManager.default.contentsOfDirectory(atPath: moves).isEmpty
        }
        #expect(try await local.chat("two", with: "a").remembered.previous == "one")
        await local.stop()
        await cloud.stop()
        await mesh.stop()
    }

    /// Kills relay or registry while the agent moves: the move ends one way or the other, and exactly one
    /// place has the agent, with everything it was told.
    @Test(arguments: ["relay", "registry"])
    func aKilledServiceCostsNoAgent(_ victim: String) async throws {
        let (mesh, local, cloud) = try await Self.paired()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.chat("one", with: "a")
        try Self.fill(local.home, agent: "a", megabytes: 8)
        _ = try await local.client.call(StartHandoff(sandboxName: "a", target: "cloud"))
        if victim == "relay" { try await mesh.restartRelay() } else { try await mesh.restartRegistry() }
        try await waitUntil("the move has ended", within: .seconds(150)) {
            try await local.status(of: "a").phase.isOver
        }
        let moved = try await local.status(of: "a").phase == .complete
        #expect(try await local.client.call(SandboxStatus(sandboxName: "a")).home == (moved ? "cloud" : "local"))
        #expect(try await cloud.client.call(ListSandboxes()).count == (moved ? 1 : 0))
        try await waitUntil("both are on the mesh", within: .seconds(90)) {
            let here = try await local.client.call(PeerStatus()), there = try await cloud.client.call(PeerStatus())
            return here.relayConnected && there.relayConnected
        }
        #expect(try await local.chat("two", with: "a").remembered.previous == "one")
        await local.stop()
        await cloud.stop()
        await mesh.stop()
    }
}
