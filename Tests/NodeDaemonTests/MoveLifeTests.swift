import Foundation
import MeshIdentity
import MeshNode
import TestSupport
import Testing
import Transport

/// Moves that are ended, doubled, disturbed, or left alone by their giver.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct MoveLifeTests {
    @Test func anAbortedMoveLeavesTheAgentAsItWasAndTheNextOneSucceeds() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.chat("one", with: "a")
        try FailureTests.fill(local.home, agent: "a", megabytes: 32)
        _ = try await local.client.call(StartHandoff(sandboxName: "a", target: "cloud"))
        let aborted = try await local.client.call(AbortHandoff(sandboxName: "a"))
        #expect(aborted.phase == .aborted && aborted.error?.contains("operator") == true)
        #expect(try await local.chat("two", with: "a").remembered.previous == "one")
        try await waitUntil("the taker forgets") {
            try FileManager.default.contentsOfDirectory(atPath: cloud.home + "/node/moves").isEmpty
        }
        #expect(try await cloud.client.call(ListSandboxes()).isEmpty)
        #expect(try await local.handoff("a", to: "cloud").phase == .complete)
        #expect(try await local.chat("three", with: "a").remembered.previous == "two")
        await #expect { try await local.client.call(AbortHandoff(sandboxName: "a")) } throws: {
            ($0 as? OperationFailure)?.message.contains("not moving") == true
        }
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    @Test func anAgentOnTheMoveIsNotMovedTwiceNorDestroyed() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        try FailureTests.fill(local.home, agent: "a", megabytes: 16)
        let started = await withTaskGroup(of: Bool.self) { group in
            for _ in 1...4 {
                group.addTask {
                    (try? await local.client.call(StartHandoff(sandboxName: "a", target: "cloud"))) != nil
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(started == 1)
        await #expect { try await local.client.call(DestroySandbox(sandboxName: "a")) } throws: {
            ($0 as? OperationFailure)?.code == .conflict
        }
        try await waitUntil("the move has ended", within: .seconds(60)) {
            try await local.client.call(HandoffStatus(sandboxName: "a")).phase.isOver
        }
        #expect(try await local.client.call(HandoffStatus(sandboxName: "a")).phase == .complete)
        #expect(try await local.chat("one", with: "a").turn == 1)
        // The dormant copy may be removed now.
        _ = try await local.client.call(DestroySandbox(sandboxName: "a", dormantCopy: true))
        #expect(try await cloud.chat("two", with: "a").remembered.previous == "one")
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }

    /// The giver dies as soon as the registry has the new home, and does not come back.
    @Test func theTakerStartsTheAgentWithoutItsGiver() async throws {
        let (mesh, local, cloud) = try await FailureTests.paired()
        let made = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.chat("one", with: "a")
        let http = HTTPClient(loop: mesh.loop)
        let record = HTTPClientRequest(
            url: try ServiceURL(parsing: "\(mesh.registryURL)/v1/agents/\(made.did)/home"))
        _ = try await local.client.call(StartHandoff(sandboxName: "a", target: "cloud"))
        try await waitUntil("the home is written", within: .seconds(60)) {
            struct Home: Decodable { let epoch: Int }
            let answer = try await http.send(record)
            return try JSONDecoder().decode(Home.self, from: Data(answer.body)).epoch == 2
        }
        await local.kill()
        try await waitUntil("the taker runs the agent", within: .seconds(30)) {
            (try? await cloud.client.call(SandboxStatus(sandboxName: "a")))?.status == "running"
        }
        #expect(try await cloud.chat("two", with: "a").remembered.previous == "one")
        // The giver that comes back lets go.
        try await local.restart()
        try await waitUntil("the giver knows", within: .seconds(60)) {
            try await local.status(of: "a").phase.isOver
        }
        #expect(try await local.status(of: "a").phase == .complete)
        #expect(try await local.chat("three", with: "a").remembered.previous == "two")
        for node in [local, cloud] { await node.stop() }
        await mesh.stop()
    }

    /// A node whose disk comes from a backup made before the agent moved away.
    @Test func aNodeWithAnOldDiskDoesNotRunASecondAgent() async throws {
        let (mesh, local, cloud) = try await FailureTests.paired()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.chat("one", with: "a")
        let database = local.home + "/node/node.db", backup = mesh.folder.file("backup")
        await local.kill()
        try FileManager.default.createDirectory(atPath: backup, withIntermediateDirectories: true)
        for end in ["", "-wal"] where FileManager.default.fileExists(atPath: database + end) {
            try FileManager.default.copyItem(atPath: database + end, toPath: backup + "/node.db" + end)
        }
        try await local.restart()
        _ = try await local.client.call(StartHandoff(sandboxName: "a", target: "cloud"))
        try await waitUntil("the move has ended", within: .seconds(60)) { try await local.status(of: "a").phase.isOver }
        #expect(try await local.status(of: "a").phase == .complete)
        await local.kill()
        for end in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: database + end)
            if FileManager.default.fileExists(atPath: backup + "/node.db" + end) {
                try FileManager.default.copyItem(atPath: backup + "/node.db" + end, toPath: database + end)
            }
        }
        try await local.restart()
        let stale = try await local.client.call(SandboxStatus(sandboxName: "a"))
        #expect(stale.status == "offloaded" && stale.epoch == 2)
        #expect(try await cloud.client.call(SandboxStatus(sandboxName: "a")).status == "running")
        #expect(try await cloud.chat("two", with: "a").remembered.previous == "one")
        for node in [local, cloud] { await node.stop() }
        await mesh.stop()
    }
}
