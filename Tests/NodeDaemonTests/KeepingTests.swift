import Foundation
import MeshNode
import TestSupport
import Testing

/// Agents that end by themselves.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct KeepingTests {
    private func initPid(_ home: String) throws -> Int32 {
        struct Record: Decodable { let initPid: Int32 }
        let data = try Data(contentsOf: URL(filePath: home + "/node/sandboxes/a/run.json"))
        return try JSONDecoder().decode(Record.self, from: data).initPid
    }

    @Test func anAgentThatEndsIsStartedAgainWithItsMemory() async throws {
        let mesh = try await MeshFixture()
        let local = try await mesh.peer("local")
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.chat("one", with: "a")
        for (round, message) in ["two", "three"].enumerated() {
            let pid = try initPid(local.home)
            kill(pid, SIGKILL)
            try await waitUntil("another start") { (try? initPid(local.home)).map { $0 != pid } ?? false }
            try await waitUntil("an answer") {
                (try? await local.chat(message, with: "a"))?.remembered.previous == (round == 0 ? "one" : "two")
            }
        }
        let status = try await local.client.call(SandboxStatus(sandboxName: "a"))
        let running = try #require(status.conditions?.first { $0.type == "Running" })
        #expect(running.holds && running.reason.contains("started again, 2 times"))
        // What became of it is known.
        var became: [SandboxTransition] = []
        try await waitUntil("what became of it is stored") {
            became = try await local.client.call(SandboxStatus(sandboxName: "a")).transitions ?? []
            return became.count == 5
        }
        #expect(became.map(\.state) == ["running", "ended", "running", "ended", "running"])
        #expect(became.first?.reason == "it was created here")
        #expect(became[1].reason.hasPrefix("the agent ended by itself"))
        #expect(became.last?.reason == "it was started again")
        // One that is destroyed stays away.
        _ = try await local.client.call(DestroySandbox(sandboxName: "a"))
        #expect(try await local.client.call(ListSandboxes()).isEmpty)
        await local.stop()
        await mesh.stop()
    }

    @Test func anAgentThatMovedAwayIsNotStartedHere() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.handoff("a", to: "cloud")
        _ = try await cloud.chat("one", with: "a")
        let pid = try initPid(cloud.home)
        kill(pid, SIGKILL)
        // Where it lives it is started, and its former gate leads there.
        try await waitUntil("an answer from its home") {
            (try? await local.chat("two", with: "a"))?.remembered.previous == "one"
        }
        #expect(try await local.client.call(SandboxStatus(sandboxName: "a")).status == "offloaded")
        #expect(try await cloud.client.call(SandboxStatus(sandboxName: "a")).status == "running")
        let left = try #require(try await local.client.call(SandboxStatus(sandboxName: "a")).transitions)
        #expect(left.map(\.state) == ["running", "offloaded"])
        #expect(left.last?.reason == "it lives at cloud since epoch 2")
        let came = try #require(try await cloud.client.call(SandboxStatus(sandboxName: "a")).transitions)
        #expect(came.first?.reason == "it came here with epoch 2")
        for peer in [local, cloud] { await peer.stop() }
        await mesh.stop()
    }
}
