import Foundation
import MeshNode
import TestSupport
import Testing
import Transport

/// Requests through the gate of a former home while the home is killed.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct ForwardKillTests {
    @Test func aHomeThatIsKilledRunsNoRequestTwiceThatItsClientDidNotName() async throws {
        var random = SeededRandom(seed: TortureTests.seed)
        let (mesh, local, cloud) = try await FailureTests.paired()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.chat("hello", with: "a")
        _ = try await local.client.call(StartHandoff(sandboxName: "a", target: "cloud"))
        try await waitUntil("the agent has moved", within: .seconds(60)) {
            try await local.status(of: "a").phase == .complete
        }
        let chatters = (0..<12).map {
            Chatter(
                gateway: local.gateway, tokenFile: local.home + "/node/tokens/a", conversation: "c\($0)",
                loop: mesh.loop, namesRequests: false)
        }
        let kills = TortureTests.isFull ? 40 : 6
        try await withThrowingTaskGroup(of: Void.self) { clients in
            for chatter in chatters { clients.addTask { try await chatter.run() } }
            for _ in 1...kills {
                let before = chatters.reduce(0) { $0 + $1.turns }
                try await waitUntil("clients are answered", within: .seconds(60)) {
                    chatters.reduce(0) { $0 + $1.turns } > before + 24
                }
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...20, using: &random)))
                await cloud.kill()
                try await cloud.restart()
            }
            for chatter in chatters { chatter.stop() }
            try await clients.waitForAll()
        }
        let answered = chatters.reduce(1) { $0 + $1.turns }
        #expect(try await Self.turns(at: cloud, mesh) == answered, "seed \(TortureTests.seed)")
        await local.stop()
        await cloud.stop()
        await mesh.stop()
    }

    private static func turns(at node: NodeProcess, _ mesh: ProcessMesh) async throws -> Int {
        struct State: Decodable { let turns: Int }
        let token = try String(contentsOfFile: node.home + "/node/tokens/a", encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let response = try await HTTPClient(loop: mesh.loop).send(
            HTTPClientRequest(
                url: try ServiceURL(parsing: "http://\(node.gateway)/agents/a/v1/state"),
                headers: ["authorization": "Bearer \(token)"]))
        return try JSONDecoder().decode(State.self, from: Data(response.body)).turns
    }
}
