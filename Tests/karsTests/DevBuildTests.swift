import Foundation
import Sandboxes
import TestSupport
import Testing

@testable import MeshNode
@testable import kars

/// `kars dev` with images that are built or fetched first.
struct DevBuildTests {
    private let home = TemporaryFolder()
    private let files = TemporaryFolder()
    private let ports = [
        "KARS_REGISTRY_LISTEN": "127.0.0.1:0", "KARS_RELAY_LISTEN": "127.0.0.1:0",
        "KARS_NODE_GATEWAY": "127.0.0.1:0",
    ]

    private func write(_ recipe: String) throws {
        try Data(recipe.utf8).write(to: URL(filePath: files.file("Dockerfile")))
    }

    @Test(.enabled(if: DockerDaemon.isThere))
    func anAgentIsBuiltAndRunAndASecondTimeRefused() async throws {
        let daemon = try await DockerDaemon()
        let environment = ports.merging(daemon.environment) { $1 }.merging(["KARS_NODE_DRIVER": "docker"]) { $1 }
        func kars(_ arguments: String..., input: String? = nil) async throws -> ChildProcess.Output {
            try await BuiltProgram.run(arguments, home: home, environment: environment, input: input)
        }
        let result: Result<Void, any Error>
        do {
            try write("FROM kars-sandbox-base:dev\nCOPY note /note\n")
            try Data("x".utf8).write(to: URL(filePath: files.file("note")))
            let built = try await kars("dev", "--name", "own", "--build", "--build-folder", files.path, "-o", "json")
            #expect(built.status == 0, "\(built.err)")
            let sandbox = try JSONSerialization.jsonObject(with: Data(built.out.utf8)) as? [String: Any]
            #expect(sandbox?["driver"] as? String == "docker" && sandbox?["runtime"] as? String == "byo")
            // Without a terminal each line of the build, and nothing of it in the result.
            #expect(built.err.hasPrefix("building kars-sandbox-base:dev\n"))
            #expect(built.err.contains("\nbuilding kars-sandbox-own:dev\n") && built.err.contains("COPY note /note"))
            let reply = try await kars("connect", "own", input: "hi\n")
            #expect(reply.out.hasPrefix("You said: hi"), "\(reply.err)")
            let again = try await kars("dev", "--name", "own", "--build-base")
            #expect(again.status == 1 && again.err.contains("exists, and it goes on with the image it has"), "\(again.err)")
            let base = try await kars("dev", "--name", "plain", "--build-base")
            #expect(base.status == 0 && base.out.contains("plain is running\n"), "\(base.err)")
            try write("FROM kars-sandbox-base:dev\nCOPY absent /x\n")
            let broken = try await kars("dev", "--name", "broken", "--build", "--build-folder", files.path)
            #expect(broken.status == 1 && broken.err.contains("the image kars-sandbox-broken:dev cannot be built"))
            #expect(try await kars("status", "broken").status == 1)
            result = .success(())
        } catch { result = .failure(error) }
        _ = try? await kars("destroy", "-y")
        _ = try? await kars("node", "stop")
        await daemon.stop()
        try result.get()
    }

    @Test func whatCannotBeBuiltIsSaidBeforeAnythingStarts() async throws {
        func kars(_ arguments: String...) async throws -> ChildProcess.Output {
            let none = ["DOCKER_HOST": "unix://" + files.file("no.sock")]
            return try await BuiltProgram.run(["dev"] + arguments, home: home, environment: ports.merging(none) { $1 })
        }
        for (arguments, reason) in [
            (["--build", "--build-folder", files.path], "there is no Dockerfile that can be read in \(files.path)"),
            (["--base-image", "debian"], "--base-image says what --build-base builds on"),
            (["--build-folder", files.path], "--build-folder says where --build finds"),
            (["--build", "--name", "My_Bot"], "a sandbox's name is 1 to 63"),
            (["--build-base", "--image", "x"], "--image names an image that is there"),
        ] {
            let output = try await BuiltProgram.run(["dev"] + arguments, home: home, environment: ports)
            #expect(output.status == 2 && output.err.contains(reason), "\(output.err)")
            #expect(output.err.split(separator: "\n").count == 1)
        }
        try write("FROM scratch\n")
        let output = try await kars("--build", "--build-folder", files.path)
        #expect(output.status == 1, "\(output.err)")
        #expect(output.err.contains("images are built with a Docker engine, and none can be used here: \(files.file("no.sock"))"))
        #expect(!FileManager.default.fileExists(atPath: home.file("services")))
    }

    @Test(.enabled(if: DockerDaemon.isThere))
    func nothingIsBuiltForANodeWhoseSandboxesTakeNoImage() async throws {
        let daemon = try await DockerDaemon()
        let node = try await ScriptedNode()
        node.on(PeerStatus.self) { _ in
            var answer = PeerStatus.Answer(
                name: "n", did: "", amid: "", publicKey: "", relay: "", relayConnected: true, registry: "", registered: true,
                sandboxes: 0, pairings: 0, gateway: "")
            answer.takesImages = false
            return answer
        }
        let output = try await BuiltProgram.run(["dev", "--build-base"], home: node.home, environment: daemon.environment)
        #expect(output.status == 1 && output.err.contains("take no image"), "\(output.err)")
        #expect(!output.err.contains("building") && node.requests(CreateSandbox.self).isEmpty)
        await node.close()
        await daemon.stop()
    }

    @Test func anImageIsFetchedBeforeItsSandboxIsMade() async throws {
        let node = try await ScriptedNode()
        node.on(CreateSandbox.self) { ScriptedNode.sandbox($0.sandboxName) }
        node.on(FetchImage.self) { request in
            var progress = ImageProgress()
            progress.layers = 3
            progress.wholeLayers = 1
            progress.bytes = 5 << 20
            progress.totalBytes = 21 << 19
            return .init(isHere: node.requests(FetchImage.self).count { $0.image == request.image } > 3, progress: progress)
        }
        let added = try await node.kars("add", "own", "--runtime", "byo", "--byo-image", "me/own:1", "-o", "json")
        #expect(added.status == 0 && added.out.hasPrefix("{"))
        // Where nothing can be written anew, a line now and then.
        #expect(added.err == "fetching me/own:1: 1 of 3 layers, 5.0 MiB of 10.5 MiB\n")
        #expect(node.requests(FetchImage.self).map(\.image) == Array(repeating: "me/own:1", count: 4))
        #expect(node.requests(CreateSandbox.self).count == 1)
        let terminal = try BuiltProgram.onTerminal(
            ["add", "two", "--runtime", "byo", "--byo-image", "me/own:2"], home: node.home, environment: [:])
        try await terminal.expect("fetching me/own:2: 1 of 3 layers")
        try await terminal.expect("two is running")
        #expect(await terminal.wait() == 0)
        await node.close()
    }

    @Test func anImageThatCannotBeHadIsRefused() async throws {
        let node = try await ScriptedNode()
        node.on(FetchImage.self) { _ in throw OperationFailure(.failed, "cannot fetch the image x:1: no such host") }
        let output = try await node.kars("add", "own", "--runtime", "byo", "--byo-image", "x:1")
        #expect(output.status == 1 && output.err.contains("no such host"))
        #expect(node.requests(CreateSandbox.self).isEmpty)
        await node.close()
    }
}
