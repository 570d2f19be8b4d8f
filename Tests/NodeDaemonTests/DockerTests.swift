import Foundation
import MeshNode
import TestSupport
import Testing
import Transport

/// Agents in containers of a real engine: between nodes with it and without it.
@Suite(.enabled(if: DockerDaemon.isThere && SandboxSupport.isThere), .serialized)
struct DockerTests {
    private func environment(_ driver: String, _ daemon: DockerDaemon) -> [String: String] {
        daemon.environment.merging(["KARS_NODE_DRIVER": driver]) { $1 }
    }

    @Test(arguments: [("embedded", "docker"), ("docker", "embedded"), ("docker", "docker")])
    func anAgentMovesThereAndBackWhileItsClientsCall(_ here: String, _ there: String) async throws {
        let daemon = try await DockerDaemon()
        let (mesh, local, cloud) = try await FailureTests.paired(
            localEnvironment: environment(here, daemon), cloudEnvironment: environment(there, daemon))
        let made = try await local.client.call(CreateSandbox(sandboxName: "a"))
        #expect(made.driver == here)
        // What a workspace may hold, with the modes and owners it has at the new place.
        let workspace = local.home + "/node/sandboxes/a/workspace"
        let owner = here == "docker" ? 1000 : getuid()
        for (name, mode) in [("kept", 0o640), ("tool", 0o755)] as [(String, mode_t)] {
            try Data(name.utf8).write(to: URL(filePath: "\(workspace)/\(name)"))
            chmod("\(workspace)/\(name)", mode)
            lchown("\(workspace)/\(name)", owner, owner)
        }
        symlink("kept", workspace + "/link")
        let (gate, loop) = ("http://\(local.gateway)/agents/a/v1/chat", mesh.loop)
        let token = try String(contentsOfFile: local.home + "/node/tokens/a", encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let callers = Task {
            for number in 1...300 {
                let reply = try await ChatReply.ask("\(number)", at: gate, token: token, loop: loop)
                #expect(reply.remembered.previous == (number == 1 ? nil : "\(number - 1)"))
                #expect(reply.turn == number)
            }
        }
        for target in ["cloud", "local"] {
            _ = try await local.client.call(StartHandoff(sandboxName: "a", target: target))
            try await waitUntil("the move to \(target)", within: .seconds(60)) {
                try await local.status(of: "a").phase.isOver
            }
            let move = try await local.status(of: "a")
            #expect(move.phase == .complete && move.error == nil)
            #expect(move.digestBefore != nil && move.digestBefore == move.digestAfter)
            let home = target == "cloud" ? cloud : local
            let expected = (target == "cloud" ? there : here) == "docker" ? 1000 : getuid()
            for name in ["", "/kept", "/tool", "/link"] {
                var facts = stat()
                #expect(lstat("\(home.home)/node/sandboxes/a/workspace\(name)", &facts) == 0, "\(name)")
                #expect(facts.st_uid == expected, "\(target): \(name)")
            }
        }
        try await callers.value
        for node in [local, cloud] { await node.stop() }
        await mesh.stop()
        await daemon.stop()
    }

    /// Which containers run at the end is looked up with the engine.
    @Test(arguments: [("docker", "embedded"), ("docker", "docker")])
    func noKillAtAnyMomentOfAMoveLosesOrDoublesATurn(_ here: String, _ there: String) async throws {
        let daemon = try await DockerDaemon()
        try await TortureTests.torture(
            rounds: TortureTests.isFull ? 12 : 1, seed: TortureTests.seed,
            localEnvironment: environment(here, daemon), cloudEnvironment: environment(there, daemon))
        await daemon.stop()
    }

    @Test func aProgramRunsBesideAnAgentInAContainerAtAnotherPeer() async throws {
        let daemon = try await DockerDaemon()
        let (mesh, local, cloud) = try await FailureTests.paired(
            localEnvironment: environment("embedded", daemon), cloudEnvironment: environment("docker", daemon))
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        _ = try await local.client.call(StartHandoff(sandboxName: "a", target: "cloud"))
        try await waitUntil("the move", within: .seconds(60)) { try await local.status(of: "a").phase == .complete }
        // What a container without image has is kars itself.
        let stream = try await local.client.open(
            StreamShell(
                sandboxName: "a",
                request: ShellRequest(
                    command: ["/opt/kars/bin/kars", "--version"], terminal: TerminalSize(columns: 80, rows: 24))))
        var said: [UInt8] = []
        while let item = try await stream.next() { said += item.bytes }
        let version = try await ChildProcess(MeshFixture.kars, ["--version"]).wait().out
        // A terminal ends a line with both.
        #expect(String(decoding: said, as: UTF8.self) == version.replacingOccurrences(of: "\n", with: "\r\n"))
        #expect(stream.result == StreamResult(status: 0))
        for node in [local, cloud] { await node.stop() }
        await mesh.stop()
        await daemon.stop()
    }

    @Test func aTaskIsWorkedOnInAContainerAndItsFilesComeBack() async throws {
        let daemon = try await DockerDaemon()
        let world = try await OffloadWorld(cloudEnvironment: environment("docker", daemon))
        let source = world.mesh.folder.file("papers")
        try OffloadTests.fill(source)
        let started = try await world.start("return files", files: [source])
        let end = try await world.end(of: started.id)
        #expect(end.phase == .done, "\(end.message ?? "")")
        let output = world.mesh.folder.file("output")
        _ = try await world.local.client.call(ShowOffload(id: started.id, folder: output))
        let (sent, returned) = (try OffloadTests.content(source), try OffloadTests.content(output + "/papers"))
        #expect(sent == returned)
        try await world.isEmpty()
        await world.stop()
        await daemon.stop()
    }

    @Test func anAgentInAnImageOfItsOwnMovesWhereImagesRun() async throws {
        let daemon = try await DockerDaemon()
        let (mesh, local, cloud) = try await FailureTests.paired(
            localEnvironment: environment("docker", daemon), cloudEnvironment: environment("docker", daemon))
        let plain = try await NodeProcess("plain", mesh)
        let token = try await plain.client.call(
            GeneratePairing(
                pairingName: "plain", lifetime: 600, tokenBudget: 0, slots: 1, capabilities: [.handoff],
                relayURL: nil, registryURL: nil)
        ).token
        _ = try await local.client.call(AcceptPairing(token: token))
        // The reference agent in an image that finds it where kars is mounted.
        let empty = TemporaryFolder()
        try await daemon.makeImage(
            "me/own:1", of: empty.path,
            ["LABEL org.kars.runtime.contract=v1", #"CMD ["/opt/kars/bin/kars","agent"]"#])
        _ = try await local.client.call(CreateSandbox(sandboxName: "a", runtime: "byo", image: "me/own:1"))
        _ = try await local.chat("one", with: "a")
        for (target, phase) in [("plain", HandoffProgress.Phase.aborted), ("cloud", .complete)] {
            _ = try await local.client.call(StartHandoff(sandboxName: "a", target: target))
            try await waitUntil("the move to \(target)", within: .seconds(60)) {
                try await local.status(of: "a").phase.isOver
            }
            let move = try await local.status(of: "a")
            #expect(move.phase == phase)
            if phase == .aborted { #expect(move.error?.contains("comes in the image me/own:1") == true) }
        }
        #expect(try await local.chat("two", with: "a").remembered.previous == "one")
        for node in [local, cloud, plain] { await node.stop() }
        await mesh.stop()
        await daemon.stop()
    }

    /// Any server that answers `/healthz` is an agent; this one knows nothing of moves.
    @Test func anAgentWithoutHooksMovesWithWhatItHadWritten() async throws {
        let daemon = try await DockerDaemon()
        let (mesh, local, cloud) = try await FailureTests.paired(
            localEnvironment: environment("docker", daemon), cloudEnvironment: environment("docker", daemon))
        let empty = TemporaryFolder()
        try await daemon.makeImage(
            "me/plain:1", of: empty.path,
            [
                "LABEL org.kars.runtime.contract=v1",
                #"CMD ["/opt/kars/bin/kars","registry","--listen","127.0.0.1:18789","--data","/sandbox/state"]"#,
            ])
        _ = try await local.client.call(CreateSandbox(sandboxName: "a", runtime: "byo", image: "me/plain:1"))
        // Its own key, which it made at its first start.
        func key() async throws -> String? {
            let token = try String(contentsOfFile: local.home + "/node/tokens/a", encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let answer = try await HTTPClient(loop: mesh.loop).send(
                HTTPClientRequest(
                    url: try ServiceURL(parsing: "http://\(local.gateway)/agents/a/v1/log/head"),
                    headers: ["authorization": "Bearer \(token)"]))
            #expect(answer.status == 200)
            let head = try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
            return head?["key"] as? String
        }
        let before = try #require(try await key())
        for target in ["cloud", "local"] {
            _ = try await local.client.call(StartHandoff(sandboxName: "a", target: target))
            try await waitUntil("the move to \(target)", within: .seconds(60)) {
                try await local.status(of: "a").phase.isOver
            }
            let move = try await local.status(of: "a")
            #expect(move.phase == .complete && move.error == nil)
            #expect(move.digestBefore == nil && move.digestAfter == nil)
            #expect(try await key() == before)
        }
        for node in [local, cloud] { await node.stop() }
        await mesh.stop()
        await daemon.stop()
    }

    @Test func aNodeKeepsTheDriverOfItsSandboxes() async throws {
        let daemon = try await DockerDaemon()
        let mesh = try await ProcessMesh()
        // Nobody said which: an engine answers.
        let node = try await NodeProcess("node", mesh, environment: environment("", daemon))
        #expect(try await node.client.call(CreateSandbox(sandboxName: "a")).driver == "docker")
        _ = try await node.chat("one", with: "a")
        await node.kill()
        try await node.restart()
        #expect(try await node.chat("two", with: "a").remembered.previous == "one")
        // An engine that is started anew ends its containers; the node starts them again.
        try await daemon.restart()
        try await waitUntil("an answer after the engine's restart", within: .seconds(40)) {
            (try? await node.chat("three", with: "a"))?.remembered.previous == "two"
        }
        await node.kill()
        let refused = try await ChildProcess(
            MeshFixture.kars,
            ["node", "--driver", "embedded", "--relay", mesh.relayURL, "--registry", mesh.registryURL, "--gateway",
                "127.0.0.1:0", "--socket", mesh.folder.file("s")],
            environment: environment("", daemon).merging(["KARS_HOME": node.home]) { $1 }
        ).wait()
        #expect(refused.status == 1 && refused.err.contains("--driver docker"))
        try await node.restart()
        _ = try await node.client.call(DestroySandbox(sandboxName: "a"))
        await node.stop()
        await mesh.stop()
        await daemon.stop()
    }
}
