import CommandTree
import FoundationEssentials
import MeshNode
import Sandboxes
import Synchronization
import Transport

/// `kars dev --build` and `--build-base`: the images that are built before a sandbox is made.
struct ImageBuild {
    /// The image of the agent, with the folder of its Dockerfile; nil when only the base is built.
    let agent: (image: String, folder: String)?
    let buildsBase: Bool
    /// What the base image is put on.
    let base: String?

    /// - Returns: nil when nothing is to be built.
    /// - Throws: a usage error for options that say nothing together.
    init?(_ invocation: Invocation, sandbox: String) throws(UsageError) {
        buildsBase = invocation.flag("build-base")
        base = invocation.value("base-image")
        guard buildsBase || base == nil else {
            throw .refused("--base-image says what --build-base builds on; give that too")
        }
        guard invocation.flag("build") || !invocation.isGiven("build-folder") else {
            throw .refused("--build-folder says where --build finds its Dockerfile; give that too")
        }
        if invocation.flag("build") {
            guard SandboxSpec.isName(sandbox) else {
                throw .refused("a sandbox's name is 1 to 63 of a-z 0-9 -, with a letter or digit at both ends")
            }
            let folder = absolutePath(invocation.value("build-folder") ?? ".")
            guard FileManager.default.isReadableFile(atPath: folder + "/Dockerfile") else {
                throw .refused(
                    "there is no Dockerfile that can be read in \(folder); --build-folder names another folder")
            }
            agent = (invocation.value("image") ?? "kars-sandbox-\(sandbox):dev", folder)
        } else {
            agent = nil
            guard buildsBase else { return nil }
            guard invocation.value("image") == nil else {
                throw .refused("--image names an image that is there, so --build-base would build one that is not used")
            }
        }
    }

    /// - Throws: when there is no engine to build with, so that nothing is started in vain.
    func check(_ invocation: Invocation) async throws {
        let loop = try EventLoop(name: "kars")
        defer { loop.shutdown() }
        if let obstacle = await DockerDriver.obstacle(environment: invocation.environment, loop: loop) {
            throw OperationFailure(
                .unavailable, "images are built with a Docker engine, and none can be used here: \(obstacle)",
                hint: "install one, or leave out --build and --build-base: the reference agent needs no image")
        }
    }

    /// Builds, for the node that runs here.
    ///
    /// - Returns: the image that the sandbox is to come in, and whether that says that it keeps the runtime contract.
    func run(_ invocation: Invocation) async throws -> (image: String, keepsContract: Bool) {
        if try await NodeConnection.call(PeerStatus(), invocation).takesImages == false {
            throw OperationFailure(
                .refused, "the node that runs here makes sandboxes that take no image, so there is none to build",
                hint: "end it with 'kars node stop' and start it with '--driver docker'")
        }
        let loop = try EventLoop(name: "kars")
        defer { loop.shutdown() }
        let builder = try ImageBuilder(environment: invocation.environment, loop: loop)
        // Dockerfiles begin with it, and it costs little.
        let hasBase = try await builder.has(BaseImage.name)
        if buildsBase || !hasBase {
            let executable = try ownExecutable()
            try await follow(BaseImage.name) {
                try await builder.buildBase(on: base, karsExecutable: executable, report: $0)
            }
        }
        guard let agent else { return (BaseImage.name, true) }
        try await follow(agent.image) { try await builder.build(agent.image, from: agent.folder, report: $0) }
        return (agent.image, try await builder.keepsContract(agent.image))
    }

    private func follow(
        _ image: String, _ build: (@escaping ImageBuilder.Report) async throws -> Void
    ) async throws {
        let name = PrintableText.escaped(image)
        Console.complain(Console.showsProgress ? "  building \(name)" : "building \(name)")
        let output = BuildOutput()
        do {
            try await build { output.take($0) }
            output.end(failed: false)
        } catch let error as SandboxError {
            output.end(failed: true)
            throw OperationFailure(.failed, "\(error)")
        }
    }
}

/// What a build says, on standard error: on a terminal its last line, and more of it only when it fails.
private final class BuildOutput: Sendable {
    private struct State {
        var line = ProgressLine()
        var last: [String] = []
    }

    private static let keptLines = 20
    private let state = Mutex(State())

    func take(_ line: String) {
        // It comes from programs that the image's steps run.
        let text = PrintableText.escaped(line)
        guard Console.showsProgress else { return Console.complain(text) }
        state.withLock { state in
            state.line.show(text)
            state.last = state.last.suffix(Self.keptLines - 1) + [text]
        }
    }

    func end(failed: Bool) {
        state.withLock { state in
            state.line.clear()
            if failed { for line in state.last { Console.complain("  | " + line) } }
        }
    }
}
