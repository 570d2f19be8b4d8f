import Foundation
import TestSupport
import Testing

/// Every process of one place, as an operator starts them.
struct WholeSystemTests {
    private let home = TemporaryFolder()

    private func kars(_ arguments: String...) async throws -> ChildProcess.Output {
        try await BuiltProgram.run(arguments, home: home)
    }

    @Test(.enabled(if: SandboxSupport.isThere, "bubblewrap makes no sandboxes here"))
    func anAgentLivesServesAndGoes() async throws {
        let registry = try BuiltProgram.start(["registry", "--listen", "127.0.0.1:0"], home: home)
        let relay = try BuiltProgram.start(["relay", "--listen", "127.0.0.1:0"], home: home)
        let node = try BuiltProgram.start(
            [
                "node", "--gateway", "127.0.0.1:0",
                "--relay", try await relay.line(startingWith: "listening ") + "/ws",
                "--registry", try await registry.line(startingWith: "listening "),
            ], home: home)
        let gateway = try await node.line(startingWith: "listening ")
        try await waitUntil("the node is in the mesh") {
            let status = try await kars("mesh", "status").out
            return status.contains("(connected)") && status.contains("(registered)")
        }
        defer { endSandbox() }
        try await liveOneLife(gateway)
        for service in [node, relay, registry] {
            service.signal(SIGTERM)
            let end = await service.wait()
            #expect(end.status == 0, "\(end.err)")
        }
    }

    /// Sandboxes outlive their node by design, but no test, however it ends.
    private func endSandbox() {
        struct Record: Decodable { let initPid: Int32 }
        guard let data = FileManager.default.contents(atPath: home.file("node/sandboxes/ann/run.json")),
            let record = try? JSONDecoder().decode(Record.self, from: data)
        else { return }
        kill(record.initPid, SIGKILL)
    }

    private func liveOneLife(_ gateway: String) async throws {
        let made = try await kars("dev", "--name", "ann")
        #expect(made.status == 0, "\(made.err)")
        #expect(made.out.contains(gateway + "/agents/ann"))
        #expect(try await kars("dev", "--name", "ann").out.contains("ann is running already"))
        #expect(try await kars("node", "stop").status == 1)  // it was started by hand
        #expect(try await kars("list").out.contains("ann    byo       running   -       local"))
        let loaded = try await ChildProcess(
            BuiltProgram.karsLoad,
            [
                "--url", gateway + "/agents/ann", "--token-file", home.file("node/tokens/ann"),
                "--rate", "50", "--duration", "1s", "--warm-turns", "20",
            ]
        ).wait()
        #expect(loaded.status == 0, "\(loaded.out)\(loaded.err)")
        #expect(try await kars("logs", "ann").out.contains("agent ready"))
        #expect(try await kars("mesh", "reset", "--yes").status == 1)
        let gone = try await kars("destroy", "ann", "-y")
        #expect(gone.status == 0, "\(gone.err)")
        #expect(!(try await kars("list").out.contains("ann")))
    }
}
