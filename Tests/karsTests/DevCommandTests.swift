import Foundation
import TestSupport
import Testing

@testable import MeshNode
@testable import kars

/// `kars dev` as a person has it first: nothing runs yet.
struct DevCommandTests {
    private let home = TemporaryFolder()
    /// Ports the kernel picks, so that nothing of this machine is in the way.
    private let ports = [
        "KARS_REGISTRY_LISTEN": "127.0.0.1:0", "KARS_RELAY_LISTEN": "127.0.0.1:0",
        "KARS_NODE_GATEWAY": "127.0.0.1:0",
    ]

    private func kars(_ arguments: String...) async throws -> ChildProcess.Output {
        try await BuiltProgram.run(arguments, home: home, environment: ports)
    }

    private func record(_ role: String) throws -> ServiceRecord {
        try #require(ServiceRecord.read(role, in: home.file("services")))
    }

    /// Ends whatever a test left running, however it ended.
    private func sweep() async {
        _ = try? await kars("node", "stop")
        SandboxSweep.end(below: home.path)
    }

    @Test(.enabled(if: SandboxSupport.isThere, "bubblewrap makes no sandboxes here"))
    func theFirstRunStartsWhatIsMissingAndTheSecondAttaches() async throws {
        do {
            let first = try await kars("dev", "--model", "gpt-4.1", "--skills", "browser", "--slack-token", "xoxb-1")
            #expect(first.status == 0, "\(first.err)")
            #expect(first.out.contains("dev-agent is running\n"))
            #expect(first.err == "")  // progress is for terminals
            let services = try BackgroundServices.roles.map(record)
            let second = try await kars("dev")
            #expect(second.status == 0, "\(second.err)")
            #expect(second.out.contains("dev-agent is running already\n"))
            #expect(try BackgroundServices.roles.map(record).map(\.pid) == services.map(\.pid))
            // A runtime whose image this peer cannot run says so, and leaves nothing.
            let claw = try await kars("add", "claw")
            #expect(claw.status == 1)
            #expect(claw.err.contains("the runtime openclaw needs the container image kars-sandbox:dev"))
            let added = try await kars("add", "helper", "--runtime", "byo")
            #expect(added.status == 0, "\(added.err)")
            #expect(try await kars("list").out.split(separator: "\n").count == 3)
            #expect(try await kars("destroy", "helper", "-y").status == 0)
            // What differs is not changed behind anybody's back.
            let other = try await kars("dev", "--model", "phi-4")
            #expect(other.status == 1)
            #expect(other.err.contains("exists, and its model is gpt-4.1"))
            let status = try await kars("status", "dev-agent", "-o", "json")
            #expect(status.out.contains(#""model" : "gpt-4.1""#) && status.out.contains(#""browser""#))
            try await changeCredentials()
            try await lookAround()
            try await stopAndComeBack(services)
        } catch {
            await sweep()
            throw error
        }
        await sweep()
    }

    /// The agent is started anew with them, and keeps its conversation.
    private func changeCredentials() async throws {
        #expect(try await kars("status", "dev-agent").out.contains("Credentials:  SLACK_BOT_TOKEN\n"))
        // A log that is followed goes on over the new start, and ends with the reader.
        let logs = try BuiltProgram.start(["logs", "dev-agent", "-f"], home: home, environment: ports)
        try await waitUntil("the first start in the log") { logs.outputSoFar.contains("agent ready") }
        defer { logs.signal(SIGKILL) }
        let files = home.file("node/sandboxes/dev-agent/run.json")
        let before = try String(contentsOfFile: files, encoding: .utf8)
        let updated = try await kars("credentials", "update", "dev-agent", "--slack-token", "xoxb-2", "--exa-api-key", "e")
        #expect(updated.out == "updated EXA_API_KEY, SLACK_BOT_TOKEN of dev-agent and started it anew\n", "\(updated.err)")
        #expect(try String(contentsOfFile: files, encoding: .utf8) != before)
        try await waitUntil("the second start in the log") {
            logs.outputSoFar.components(separatedBy: "agent ready").count == 3
        }
        let recent = try await kars("logs", "dev-agent", "--since", "1d", "-o", "json").out
        let (first, all) = (try #require(recent.split(separator: "\n").first), recent.split(separator: "\n"))
        #expect(all.allSatisfy { $0.contains(#""service":"agent""#) && $0.contains(#""time":"20"#) }, "\(recent)")
        let time = try #require(first.firstMatch(of: /"time":"([^"]+)"/)).1
        #expect(try await kars("logs", "dev-agent", "--since", "\(time)", "-o", "json").out == recent)
        #expect(try await kars("logs", "dev-agent", "--since", "9999-01-01T00:00:00Z").out.isEmpty)
        let reply = try await BuiltProgram.run(["connect", "dev-agent"], home: home, environment: ports, input: "hi\n")
        #expect(reply.out.hasPrefix("You said: hi"), "\(reply.err)")
        let status = try await kars("status", "dev-agent").out
        #expect(status.contains("Credentials:  EXA_API_KEY, SLACK_BOT_TOKEN\n"))
        #expect(status.contains("Ready            yes"), "\(status)")
    }

    /// A shell beside the agent, on a terminal that is not this one.
    private func lookAround() async throws {
        let terminal = try BuiltProgram.onTerminal(["connect", "dev-agent", "--shell"], home: home, environment: ports)
        terminal.type("echo $((6 * 7)) $(id -u) $(pwd)\n")
        try await terminal.expect("42 1000 /sandbox")
        // It controls its terminal: Ctrl-C ends what runs in front, and not the shell.
        terminal.type("sleep 1000\n")
        try await terminal.expect("sleep 1000")
        terminal.type("\u{3}")
        terminal.type("echo after-$((1 + 1))\n")
        try await terminal.expect("after-2")
        terminal.type("exit 5\n")
        #expect(await terminal.wait() == 5)
        #expect(try await kars("connect", "dev-agent", "--shell").status == 2)  // no terminal
        #expect(try await kars("connect", "dev-agent", "--shell", "--web").status == 2)
    }

    private func stopAndComeBack(_ services: [ServiceRecord]) async throws {
        let stopped = try await kars("node", "stop")
        #expect(stopped.out == "stopped node, relay, registry\n")
        #expect(stopped.err.contains("Still running: dev-agent."))
        #expect(services.allSatisfy { !$0.isAlive })
        #expect(try await kars("node", "stop").out == "nothing runs in the background\n")
        // The sandbox went on, and the next node takes it up.
        let again = try await kars("dev")
        #expect(again.status == 0, "\(again.err)")
        #expect(again.out.contains("dev-agent is running already\n"))
        #expect(try await kars("destroy", "--yes").out == "destroyed dev-agent\n")
    }

    @Test func twoAtOnceStartOneSetOfServices() async throws {
        async let first = kars("dev", "--name", "one")
        async let second = kars("dev", "--name", "two")
        let outputs = try await [first, second]
        let pids = try BackgroundServices.roles.map { try record($0).pid }
        // Whether or not this machine can make sandboxes, there is one registry, one relay and one node.
        for output in outputs where SandboxSupport.isThere { #expect(output.status == 0, "\(output.err)") }
        let running = BackgroundServices.roles.filter { ServiceRecord.read($0, in: home.file("services"))?.isAlive == true }
        #expect(running == BackgroundServices.roles)
        #expect(Set(pids).count == 3)
        _ = try await kars("destroy", "--yes")
        await sweep()
    }

    @Test func aServiceThatCannotStartIsNamedWithItsReason() async throws {
        // The registry's folder is a file.
        try "".write(toFile: home.file("registry"), atomically: true, encoding: .utf8)
        let output = try await kars("dev")
        #expect(output.status == 1)
        #expect(output.err.contains("kars dev: the registry did not start"))
        #expect(output.err.contains("registry.log"))
        await sweep()
    }

    @Test func aNamedSocketStartsNothing() async throws {
        let output = try await kars("dev", "--socket", home.file("none.sock"))
        #expect(output.status == 1)
        #expect(output.err.contains("no node answers"))
        #expect(!FileManager.default.fileExists(atPath: home.file("services")))
    }

    @Test(arguments: [
        (["--target", "local-k8s"], "needs kind"), (["--no-mesh"], "needs kind"), (["--ephemeral"], "needs kind"),
        (["--github-token", "x"], "no inference router"), (["--channels", "pigeon"], "wants some of telegram"),
        (["--channels", "telegram"], "needs a token; store it"),
        (["--global-registry", "https://mesh.example"], "KARS_NODE_RELAY"),
    ])
    func whatCannotWorkSaysWhatIsMissing(_ arguments: [String], _ reason: String) async throws {
        let output = try await BuiltProgram.run(["dev"] + arguments, home: home, environment: ports)
        #expect(output.status == 2)
        #expect(output.err.contains(reason), "\(output.err)")
        #expect(output.err.split(separator: "\n").count == 1)
        #expect(!FileManager.default.fileExists(atPath: home.file("services")))
    }

    @Test func aStoppedAgentIsStartedAgain() async throws {
        let node = try await ScriptedNode()
        node.on(CreateSandbox.self) { _ in throw OperationFailure(.conflict, "exists") }
        node.on(SandboxStatus.self) { ScriptedNode.sandbox($0.sandboxName, status: "stopped") }
        node.on(StartSandbox.self) { ScriptedNode.sandbox($0.sandboxName) }
        let output = try await node.kars("dev")
        #expect(output.out.contains("dev-agent was stopped and is running again"))
        await node.close()
    }

    @Test func credentialsOfTheChannelsAndKeysGoToTheNode() async throws {
        let node = try await ScriptedNode()
        node.on(CreateSandbox.self) { ScriptedNode.sandbox($0.sandboxName) }
        for (key, value) in [
            ("telegram-token.cloud", "bot42:cloud"), ("telegram-token", "41:plain"), ("slack-token", "xoxb"),
            ("exa-api-key", "exa"), ("azure-openai-key", "the-providers"),
        ] { #expect(try await node.kars("credentials", "set", key, value).status == 0) }
        #expect(try await node.kars("dev", "--channels", "telegram,whatsapp", "--brave-api-key", "brave").status == 0)
        #expect(try await node.kars("dev", "--channels", "telegram.cloud", "--discord-token", "dis").status == 0)
        let requests = node.requests(CreateSandbox.self)
        func given(_ index: Int) -> [String: String] {
            (requests[index].credentials ?? [:]).mapValues { String(decoding: $0.bytes, as: UTF8.self) }
        }
        // The token of a channel that is not open stays here, and so does the provider's.
        #expect(given(0) == ["TELEGRAM_BOT_TOKEN": "41:plain", "EXA_API_KEY": "exa", "BRAVE_API_KEY": "brave"])
        #expect(requests[0].settings?.channels == ["telegram", "whatsapp"])
        #expect(given(1) == ["TELEGRAM_BOT_TOKEN": "42:cloud", "DISCORD_BOT_TOKEN": "dis", "EXA_API_KEY": "exa"])
        #expect(requests[1].settings?.channels == ["telegram", "discord"])
        let missing = try await node.kars("dev", "--channels", "telegram.home")
        #expect(missing.status == 2)
        #expect(missing.err.contains("'kars credentials set telegram-token.home'"))
        await node.close()
    }

    @Test func updatesNameOnlyWhatWasGivenOrIsStored() async throws {
        let node = try await ScriptedNode()
        node.on(SandboxStatus.self) {
            var sandbox = ScriptedNode.sandbox($0.sandboxName)
            sandbox.credentials = ["SLACK_BOT_TOKEN"]
            return sandbox
        }
        node.on(UpdateCredentials.self) { .init(names: $0.credentials.keys.sorted(), restarted: $0.restart) }
        let given = try await node.kars("credentials", "update", "a", "--exa-api-key", "e", "--no-restart")
        #expect(given.out == "updated EXA_API_KEY of a\n")
        let nothing = try await node.kars("credentials", "update", "a")
        #expect(nothing.status == 2)
        #expect(nothing.err.contains("nothing stored is of a kind that a has"))
        _ = try await node.kars("credentials", "set", "slack-token", "xoxb")
        _ = try await node.kars("credentials", "set", "brave-api-key", "b")
        let stored = try await node.kars("credentials", "update", "a")
        #expect(stored.out == "updated SLACK_BOT_TOKEN of a and started it anew\n")
        #expect(node.requests(UpdateCredentials.self).map(\.restart) == [false, true])
        await node.close()
    }

    @Test func theFirstRunAsksOnATerminalAndKeepsTheAnswer() async throws {
        let node = try await ScriptedNode()
        node.on(CreateSandbox.self) { ScriptedNode.sandbox($0.sandboxName) }
        let first = try BuiltProgram.onTerminal(["dev"], home: node.home)
        try await first.expect("This is the first run here")
        try await first.answer("Number [1]: ", "3")
        try await first.answer("GitHub token with models:read (not shown): ", "github_pat_secret")
        try await first.answer("Model [gpt-4o-mini]: ", "")
        try await first.expect("dev-agent is running")
        #expect(await first.wait() == 0)
        #expect(!first.screen.contains("github_pat_secret"))
        let request = try #require(node.requests(CreateSandbox.self).first)
        #expect(request.settings?.model == "gpt-4o-mini" && request.settings?.provider == "github-models")
        // The second asks nothing, and a run without a terminal never does.
        let second = try BuiltProgram.onTerminal(["dev", "--name", "b"], home: node.home)
        try await second.expect("b is running")
        #expect(await second.wait() == 0)
        #expect(!second.screen.contains("Number"))
        await node.close()
    }

    @Test func theFirstRunMayAnswerNone() async throws {
        let node = try await ScriptedNode()
        node.on(CreateSandbox.self) { ScriptedNode.sandbox($0.sandboxName) }
        let terminal = try BuiltProgram.onTerminal(["dev"], home: node.home)
        try await terminal.answer("Number [1]: ", "none")
        #expect(await terminal.wait() == 0)
        #expect(node.requests(CreateSandbox.self).first?.settings?.model == nil)
        #expect(try await node.kars("config", "show").out.contains("answers without a model"))
        await node.close()
    }

    @Test func theRelayOfASharedMeshIsTold() {
        #expect(MeshChoice.usualRelay(of: "https://registry.kars.example") == "wss://relay.kars.example/ws")
        #expect(MeshChoice.usualRelay(of: "http://localhost:18080") == "ws://localhost:18765/ws")
        #expect(MeshChoice.usualRelay(of: "https://mesh.example") == nil)
    }
}
