import Foundation
import TestSupport
import Testing

/// Commands about an agent that lives at another peer, with every process as an operator starts them.
@Suite(.enabled(if: SandboxSupport.isThere, "bubblewrap makes no sandboxes here"))
struct GuestCommandTests {
    private let laptop = TemporaryFolder()
    private let cloud = TemporaryFolder()

    private func kars(_ arguments: String..., input: String? = nil) async throws -> ChildProcess.Output {
        try await BuiltProgram.run(arguments, home: laptop, input: input)
    }

    @Test func logsAndAShellReachAnAgentThatMovedAway() async throws {
        let registry = try BuiltProgram.start(["registry", "--listen", "127.0.0.1:0"], home: cloud)
        let relay = try BuiltProgram.start(["relay", "--listen", "127.0.0.1:0"], home: cloud)
        let mesh = [
            "--gateway", "127.0.0.1:0", "--relay", try await relay.line(startingWith: "listening ") + "/ws",
            "--registry", try await registry.line(startingWith: "listening "),
        ]
        let nodes = [
            try BuiltProgram.start(["node", "--name", "laptop"] + mesh, home: laptop),
            try BuiltProgram.start(["node", "--name", "cloud"] + mesh, home: cloud),
        ]
        defer { for home in [laptop, cloud] { SandboxSweep.end(below: home.path) } }
        for (node, home) in zip(nodes, [laptop, cloud]) {
            _ = try await node.line(startingWith: "listening ")
            try await waitUntil("the node is in the mesh") {
                let status = try await BuiltProgram.run(["mesh", "status"], home: home).out
                return status.contains("(connected)") && status.contains("(registered)")
            }
        }
        let token = try await BuiltProgram.run(["pair", "generate", "--name", "laptop"], home: cloud).out
        #expect(try await kars("pair", "accept", "-", input: token).status == 0)
        #expect(try await kars("dev", "--name", "ann").status == 0)
        #expect(try await kars("logs", "ann", "--cloud").status == 1)  // it lives here
        let follower = try BuiltProgram.start(["logs", "ann", "-f"], home: laptop)
        try await waitUntil("the log from here") { follower.outputSoFar.contains("agent ready") }
        let moved = try await kars("handoff", "ann", "--to", "cloud")
        #expect(moved.status == 0, "\(moved.err)")
        // Who followed it here follows it there.
        try await waitUntil("the log from there") {
            follower.outputSoFar.components(separatedBy: "agent ready").count >= 3
        }
        let there = try await kars("logs", "ann", "--cloud", "--tail", "5")
        #expect(there.status == 0 && there.out.contains("agent ready"), "\(there.err)")
        #expect(try await kars("logs", "ann", "--local").out.contains("agent ready"))
        try await lookAround()
        let script = try await kars("connect", "ann", "--cloud", "--shell", input: "echo $((6 * 7)); echo bad >&2; exit 7\n")
        #expect(script.status == 7 && script.out == "42\n" && script.err.contains("bad"))
        #expect(try await kars("connect", "ann", "--local", "--shell").status == 1)

        // The other peer says no, whatever this one's command says.
        _ = try await BuiltProgram.run(["pair", "revoke", "laptop"], home: cloud)
        let refused = try await kars("connect", "ann", "--cloud", "--shell", input: "true\n")
        #expect(refused.status == 1 && refused.err.contains("not paired"), "\(refused.err)")
        #expect(await follower.wait().status == 1)
        for service in nodes + [relay, registry] {
            service.signal(SIGTERM)
            #expect(await service.wait().status == 0)
        }
    }

    /// A shell on a terminal, over the mesh.
    private func lookAround() async throws {
        let terminal = try BuiltProgram.onTerminal(["connect", "ann", "--cloud", "--shell"], home: laptop)
        terminal.type("echo $((6 * 7)) $(id -u) $(pwd) $(stty size)\n")
        try await terminal.expect("42 1000 /sandbox 24 80")
        terminal.resize(columns: 100, rows: 40)
        terminal.type("until [ \"$(stty size)\" = '40 100' ]; do :; done; echo size-$((1 + 1))\n")
        try await terminal.expect("size-2")
        // Ctrl-C ends what runs in front over there, and not the command here.
        terminal.type("sleep 1000\n")
        try await terminal.expect("sleep 1000")
        terminal.type("\u{3}")
        terminal.type("echo after-$((1 + 1))\n")
        try await terminal.expect("after-2")
        terminal.type("exit 5\n")
        #expect(await terminal.wait() == 5)
    }
}
