import Foundation
import MeshNode
import Observability
import TestSupport
import Testing
import Transport

@testable import ReferenceAgent

/// An agent that moves back and forth for a long time under a constant load: in full with a release build
/// (`make test-soak`), briefly otherwise. `KARS_TEST_SOAK_MOVES` and `KARS_TEST_SOAK_RATE` say how often it moves and how
/// many requests a second come.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct SoakTests {
    /// Large editions need a release build, whose folder `KARS_TEST_BIN` names.
    static let isFull = TortureTests.isFull && ProcessInfo.processInfo.environment["KARS_TEST_BIN"] != nil

    private static func number(_ name: String, _ short: Int, _ full: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? (isFull ? full : short)
    }

    private struct Report: Decodable {
        let sent: Int
        let failed: Int
        let lostMemory: Int
        let latencyP99Milliseconds: Double?
        let longestGapMilliseconds: Double?
    }

    @Test func noRequestFailsAndNothingIsForgottenOverManyMoves() async throws {
        let moves = Self.number("KARS_TEST_SOAK_MOVES", 6, 200), rate = Self.number("KARS_TEST_SOAK_RATE", 100, 500)
        let (mesh, local, cloud) = try await FailureTests.paired()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        try FailureTests.fill(local.home, agent: "a", megabytes: 2)
        let load = try ChildProcess(
            URL(fileURLWithPath: MeshFixture.kars).deletingLastPathComponent().path + "/kars-load",
            [
                "--url", "http://\(local.gateway)/agents/a", "--token-file", local.home + "/node/tokens/a",
                "--warm-turns", "20", "--rate", "\(rate)", "--duration", "24h", "-o", "json",
            ])
        try await waitUntil("the load runs", within: .seconds(60)) { load.errorsSoFar.contains("warm") }

        var freezes: [Double] = []
        for number in 1...moves {
            let target = number % 2 == 1 ? "cloud" : "local"
            _ = try await local.client.call(StartHandoff(sandboxName: "a", target: target))
            try await waitUntil("move \(number) ends", within: .seconds(120)) { try await local.status(of: "a").phase.isOver }
            let move = try await local.status(of: "a")
            try #require(move.phase == .complete && move.error == nil, "move \(number): \(move.error ?? "")")
            #expect(move.digestBefore != nil && move.digestBefore == move.digestAfter, "move \(number)")
            freezes.append(move.freezeMilliseconds ?? 0)
        }
        load.signal(SIGTERM)
        let output = await load.wait()
        let report = try JSONDecoder().decode(Report.self, from: Data(output.out.utf8))
        #expect(output.status == 0 && report.failed == 0 && report.lostMemory == 0, "\(output.out)")

        let home = moves % 2 == 1 ? cloud : local
        try await Self.check(home, turns: report.sent)
        let audit = try await home.client.call(CheckAgentAudit(sandboxName: "a"))
        #expect(audit.faults.isEmpty && audit.moves.map(\.epoch) == Array(2..<moves + 2))
        print(
            "soak: \(moves) moves, \(report.sent) requests at \(rate) a second, frozen at most "
                + "\(freezes.max() ?? 0) ms, p99 \(report.latencyP99Milliseconds ?? 0) ms, longest gap "
                + "\(report.longestGapMilliseconds ?? 0) ms")
        await local.stop()
        await cloud.stop()
        await mesh.stop()
    }

    /// The journal holds every turn that was answered, once, and its chain of digests holds from the first to the last.
    private static func check(_ home: NodeProcess, turns: Int) async throws {
        struct Line: Decodable {
            struct Turn: Decodable { let conversation, request_id, message: String }
            let turn: Turn
        }
        let folder = TemporaryFolder()
        let journal = home.home + "/node/sandboxes/a/workspace/workspace/" + TurnJournal.fileName
        try FileManager.default.copyItem(atPath: journal, toPath: folder.file(TurnJournal.fileName))
        let read = try AgentMemory(workspace: folder.path, limits: AgentLimits(), logger: .silent)
        #expect(read.unreadTurns == 0 && read.state.turns == turns)
        var said: [String: Int] = [:]
        var ids: Set<String> = []
        for line in try Data(contentsOf: URL(fileURLWithPath: folder.file(TurnJournal.fileName))).split(separator: 0x0A) {
            let turn = try JSONDecoder().decode(Line.self, from: Data(line)).turn
            let number = said[turn.conversation, default: 0] + 1
            guard turn.message == "\(turn.conversation) says \(number)", ids.insert(turn.request_id).inserted else {
                Issue.record("\(turn.conversation) has '\(turn.message)' as its turn \(number)")
                break
            }
            said[turn.conversation] = number
        }
        await read.stop()
    }
}
