import Foundation
import Sandboxes
import TestSupport
import Testing

@testable import MeshNode
@testable import kars

struct SandboxCommandTests {
    @Test func listShowsATableInOrder() async throws {
        let node = try await ScriptedNode()
        node.on(ListSandboxes.self) { _ in
            [ScriptedNode.sandbox("zed", status: "offloaded", epoch: 2), ScriptedNode.sandbox("ann")]
        }
        let output = try await node.kars("list")
        #expect(output.status == 0)
        #expect(
            output.out == """
                NAME   RUNTIME   STATUS      MODEL   HOME     EPOCH
                ann    byo       running     -       laptop   1
                zed    byo       offloaded   -       laptop   2

                """)
        #expect(output.err == "")
        await node.close()
    }

    @Test func jsonHasSortedKeysAndDatesAPersonCanRead() async throws {
        let node = try await ScriptedNode()
        node.on(SandboxStatus.self) { ScriptedNode.sandbox($0.sandboxName) }
        let output = try await node.kars("status", "ann", "--output", "json")
        #expect(output.status == 0)
        #expect(output.out.contains(#""createdAt" : "2027-01-15T08:00:00Z""#))
        let keys = output.out.split(separator: "\n").compactMap { line -> Substring? in
            guard line.hasPrefix("  \"") else { return nil }
            return line.dropFirst(3).prefix { $0 != "\"" }
        }
        #expect(keys.contains("gatewayURL"))
        #expect(keys.dropLast().allSatisfy { keys.contains($0) } && keys == keys.sorted())
        await node.close()
    }

    @Test func statusShowsConditionsAndSettings() async throws {
        let node = try await ScriptedNode()
        node.on(SandboxStatus.self) {
            var sandbox = ScriptedNode.sandbox($0.sandboxName)
            sandbox.settings = AgentSettings(model: "gpt-4.1", policy: "developer", skills: ["browser"])
            sandbox.conditions = [SandboxCondition(type: "Ready", holds: false, reason: "it does not answer")]
            sandbox.usage = .init(processes: 3, memoryBytes: 34_567_890, processorSeconds: 12.34)
            sandbox.transitions = [
                SandboxTransition(
                    at: Date(timeIntervalSince1970: 1_800_000_000), state: "ended", reason: "the agent ended by itself")
            ]
            return sandbox
        }
        let output = try await node.kars("status", "ann")
        for line in ["Usage:     3 processes, 35 MB of memory, 12.3 s of processor time\n", "Model:     gpt-4.1\n", "Policy:    developer\n", "Skills:    browser\n"] {
            #expect(output.out.contains(line), "\(output.out)")
        }
        #expect(output.out.contains("CONDITION   HOLDS   WHY\nReady       no      it does not answer\n"))
        #expect(output.out.contains("2027-01-15 08:00 UTC   ended    the agent ended by itself\n"), "\(output.out)")
        await node.close()
    }

    @Test func devSaysWhereTheAgentIsAndNotItsToken() async throws {
        let node = try await ScriptedNode()
        node.on(CreateSandbox.self) { ScriptedNode.sandbox($0.sandboxName) }
        let output = try await node.kars("dev", "--workspace", "notes")
        #expect(output.status == 0)
        #expect(output.out.contains("dev-agent is running\n"))
        #expect(output.out.contains("http://127.0.0.1:1/agents/dev-agent"))
        #expect(output.out.contains("/tmp/dev-agent/token"))
        let workspace = try #require(node.requests(CreateSandbox.self).first?.workspace)
        #expect(workspace.hasPrefix("/") && workspace.hasSuffix("/notes"))
        await node.close()
    }

    @Test func logsAsksForTheTailItWasTold() async throws {
        let node = try await ScriptedNode()
        node.on(SandboxLogs.self) { .init(lines: (0..<$0.tail).map { "line \($0)" }) }
        let output = try await node.kars("logs", "ann", "--tail", "2")
        #expect(output.out == "line 0\nline 1\n")
        await node.close()
    }

    @Test func logsAreFollowedToTheSandboxesEnd() async throws {
        let node = try await ScriptedNode()
        node.on(SandboxLogs.self) { request in
            switch request.after?["agent"] {
            case nil: .init(lines: ["one", "trouble"], logs: [.agent, .host], end: ["agent": 4, "host": 8])
            case 4: .init(lines: ["two"], logs: [.agent], end: ["agent": 8, "host": 8])
            default: .init(lines: [], logs: [], end: ["agent": 8, "host": 8], isOver: true)
            }
        }
        let output = try await node.kars("logs", "ann", "-f")
        #expect(output.status == 0)
        #expect(output.out == "one\nnode-host: trouble\ntwo\n")
        #expect(output.err == "The sandbox ann has stopped.\n")
        #expect(node.requests(SandboxLogs.self)[2].after == ["agent": 8, "host": 8])
        _ = try await node.kars("logs", "ann", "--service", "openclaw")
        _ = try await node.kars("logs", "ann", "--service", "node-host")
        #expect(node.requests(SandboxLogs.self).suffix(2).map(\.log) == [.agent, .host])
        let router = try await node.kars("logs", "ann", "--service", "router")
        #expect(router.status == 2 && router.err.contains("no inference router"))
        await node.close()
    }

    @Test func logsSaysWhenLinesWereWritten() async throws {
        let node = try await ScriptedNode()
        node.on(SandboxLogs.self) { request in
            guard request.withTimes == true else { return .init(lines: ["plain"], isCut: true) }
            return .init(
                lines: ["ready\u{1b}", "trouble"], times: [1_796_050_800_123, nil],
                logs: request.log == nil ? [.agent, .host] : nil)
        }
        let all = try await node.kars("logs", "ann", "--timestamps")
        #expect(all.out == "2026-11-30T15:00:00.123Z ready\u{1b}\n- node-host: trouble\n")
        let json = try await node.kars("logs", "ann", "-o", "json", "--service", "openclaw")
        #expect(
            json.out == """
                {"service":"agent","text":"ready\\u001b","time":"2026-11-30T15:00:00.123Z"}
                {"service":"agent","text":"trouble"}

                """)
        let plain = try await node.kars("logs", "ann", "--since", "2026-11-30T16:00:00.5+01:00")
        #expect(plain.out == "plain\n" && plain.err == "kars logs: more was written since; these are the newest lines\n")
        _ = try await node.kars("logs", "ann", "--since", "10m", "--tail", "7")
        let requests = node.requests(SandboxLogs.self)
        #expect(requests.map(\.tail) == [100, 100, 10_000, 7])
        #expect(requests[2].since == 1_796_050_800_500)
        #expect(requests[3].since != nil)
        #expect(PastTime.parse("10m", now: Date(timeIntervalSince1970: 1_000)) == 400_000)
        await node.close()
    }

    @Test(arguments: ["yesterday", "10", "-5m", "0s", "2026-11-30", "2026-11-30T15:00:00", "2026-11-30T15:00:00Zz", "12:00"])
    func aTimeThatIsNoneIsRefused(_ text: String) async throws {
        let node = try await ScriptedNode()
        let output = try await node.kars("logs", "ann", "--since=\(text)")
        #expect(output.status == 2 && output.err.hasPrefix("kars logs: --since wants a time such as 10m"))
        #expect(node.requests(SandboxLogs.self).isEmpty)
        await node.close()
    }

    @Test func listAsksPeersOnlyWhereAgentsLiveElsewhere() async throws {
        let node = try await ScriptedNode()
        node.on(ListSandboxes.self) { request in
            var away = ScriptedNode.sandbox("away", status: request.askPeers == true ? "running" : "offloaded")
            away.home = "cloud"
            away.driver = "kubernetes"
            return [away, ScriptedNode.sandbox("ann")]
        }
        #expect(try await node.kars("list").out.contains("away   byo       running   -       cloud"))
        let local = try await node.kars("list", "--docker-only").out
        #expect(local.contains("ann") && !local.contains("away"))
        let cluster = try await node.kars("list", "--aks-only").out
        #expect(!cluster.contains("ann") && cluster.contains("away"))
        #expect(node.requests(ListSandboxes.self).map(\.askPeers) == [nil, true, nil, nil, true])
        await node.close()
    }

    @Test func destroyNamesWhatGoesAndGoesWhereItLives() async throws {
        let node = try await ScriptedNode()
        node.on(SandboxStatus.self) {
            var sandbox = ScriptedNode.sandbox($0.sandboxName, status: $0.sandboxName == "away" ? "offloaded" : "running")
            if sandbox.status == "offloaded" { sandbox.home = "cloud" }
            return sandbox
        }
        node.on(DestroySandbox.self) { _ in Done() }
        node.on(DestroyElsewhere.self) { _ in Done() }
        let asked = try BuiltProgram.onTerminal(["destroy", "ann"], home: node.home)
        try await asked.answer("Destroy ann, which is running here, with its workspace, key and credentials? [y/N]", "no")
        #expect(await asked.wait() == 1)
        let both = try await node.kars("destroy", "away", "-y")
        #expect(both.status == 1)
        #expect(both.err.contains("'kars destroy away --cloud'") && both.err.contains("'kars destroy away --local'"))
        #expect(try await node.kars("destroy", "ann", "--cloud", "-y").status == 1)
        #expect(node.requests(DestroySandbox.self).isEmpty && node.requests(DestroyElsewhere.self).isEmpty)
        #expect(try await node.kars("destroy", "away", "--cloud", "-y").out == "destroyed away\n")
        #expect(try await node.kars("destroy", "away", "--local", "-y").out == "destroyed away\n")
        #expect(try await node.kars("destroy", "ann", "--local", "-y").out == "destroyed ann\n")
        #expect(try await node.kars("destroy", "--local", "--cloud", "-y").status == 2)
        #expect(node.requests(DestroyElsewhere.self).map(\.sandboxName) == ["away"])
        #expect(node.requests(DestroySandbox.self).map(\.dormantCopy) == [true, false])
        await node.close()
    }

    @Test func destroyTakesOneOrAll() async throws {
        let node = try await ScriptedNode()
        node.on(ListSandboxes.self) { _ in [ScriptedNode.sandbox("b"), ScriptedNode.sandbox("a")] }
        node.on(SandboxStatus.self) { ScriptedNode.sandbox($0.sandboxName) }
        node.on(DestroySandbox.self) { _ in Done() }
        let refused = try await node.kars("destroy", "c")
        #expect(refused.status == 2)
        #expect(node.requests(DestroySandbox.self).isEmpty)
        #expect(try await node.kars("destroy", "c", "-y").out == "destroyed c\n")
        #expect(try await node.kars("destroy", "--yes").out == "destroyed a\ndestroyed b\n")
        #expect(node.requests(DestroySandbox.self).map(\.sandboxName) == ["c", "a", "b"])
        await node.close()
    }

    @Test func aRefusalKeepsItsHintAndCannotDriveTheTerminal() async throws {
        let node = try await ScriptedNode()
        node.on(SandboxStatus.self) { operation in
            if operation.sandboxName == "odd" {
                throw OperationFailure(.invalid, "a name has no capital letters")
            }
            throw OperationFailure(.notFound, "no \u{1b}[31msandbox\nhere", hint: "see 'kars list'")
        }
        let missing = try await node.kars("status", "ann")
        #expect(missing.status == 1)
        #expect(missing.out == "")
        #expect(missing.err == "kars status: no \\u{1b}[31msandbox\\nhere\nhint: see 'kars list'\n")
        #expect(try await node.kars("status", "odd").status == 2)
        await node.close()
    }

    @Test func aReaderThatGoesAwayIsNoAccident() async throws {
        let node = try await ScriptedNode()
        node.on(SandboxLogs.self) { _ in .init(lines: (0..<50_000).map { "line \($0)" }) }
        let pipe = try ChildProcess(
            "/bin/sh", ["-c", "\(BuiltProgram.kars) logs ann --tail 50000 | head -n 1"],
            environment: ["KARS_HOME": node.home.path])
        let output = await pipe.wait()
        #expect(output.out == "line 0\n")
        #expect(output.err == "")
        await node.close()
    }
}
