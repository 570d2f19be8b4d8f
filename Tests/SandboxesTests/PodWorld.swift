import Foundation
import Glibc
import Observability
import TestSupport
import Transport

@testable import Sandboxes

/// The folders of a pod and its agent's container, which is a real one of bubblewrap: its own processes, its own network,
/// and the volumes as Kubernetes mounts them.
final class PodWorld {
    let folder = TemporaryFolder()
    let loop: EventLoop
    private let runtime: DockerRuntime
    private var container: ChildProcess?

    init(_ loop: EventLoop) throws {
        self.loop = loop
        for name in ["sandboxes/a/workspace", "sandboxes/a/run", "link", "credentials", "hold"] {
            try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: true)
        }
        runtime = try DockerRuntime.make(root: folder.path, karsExecutable: SandboxWorld.karsExecutable)
    }

    static func with(_ body: (PodWorld) async throws -> Void) async throws {
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let world = try PodWorld(loop)
        let result: Result<Void, any Error>
        do { result = .success(try await body(world)) } catch { result = .failure(error) }
        await world.endContainer()
        try result.get()
    }

    func driver() throws -> PodDriver {
        try PodDriver(
            root: folder.file("sandboxes"),
            place: .init(sandbox: "a", link: folder.file("link"), credentials: folder.file("credentials")),
            loop: loop, logger: .silent)
    }

    /// Starts the container, as the kubelet does, whether the node is there or not.
    func startContainer() throws {
        var arguments = ["--unshare-all", "--as-pid-1", "--die-with-parent", "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000"]
        arguments += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
        for name in ["bin", "lib", "lib64"] { arguments += ["--symlink", "usr/\(name)", "/\(name)"] }
        arguments += ["--ro-bind", runtime.folder, DockerRuntime.place]
        arguments += ["--bind", folder.file("sandboxes/a/workspace"), SandboxLayout.home]
        arguments += ["--bind", folder.file("sandboxes/a/run"), SandboxLayout.run]
        arguments += ["--ro-bind", folder.file("link"), AttendantPlace.folder]
        arguments += ["--ro-bind", folder.file("hold"), AttendantPlace.hold]
        arguments += ["--ro-bind", folder.file("credentials"), SandboxLayout.credentials]
        arguments += ["--"] + DockerRuntime.program + ["sandbox-init", "--attend", AttendantPlace.folder]
        container = try ChildProcess("/usr/bin/bwrap", arguments)
    }

    /// Ends it as when memory runs out: without a word.
    func endContainer() async {
        guard let container else { return }
        self.container = nil
        container.signal(SIGKILL)
        _ = await container.wait()
    }

    /// Whether the container's first process is kars and takes signals in its own time.
    var hasFirstProcess: Bool {
        guard let container,
            let children = try? String(contentsOfFile: "/proc/\(container.pid)/task/\(container.pid)/children", encoding: .utf8),
            let first = children.split(separator: " ").first.flatMap({ Int32($0) }),
            let status = try? String(contentsOfFile: "/proc/\(first)/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("SigBlk:") }),
            let blocked = UInt64(line.dropFirst("SigBlk:".count).drop { $0.isWhitespace }, radix: 16)
        else { return false }
        return blocked & (1 << UInt64(SIGTERM - 1)) != 0
    }

    func terminateContainer() async throws -> Int32 {
        guard let container else { return -1 }
        // Its first process, which bubblewrap waits for.
        let children = try String(contentsOfFile: "/proc/\(container.pid)/task/\(container.pid)/children", encoding: .utf8)
        if let child = children.split(separator: " ").first.flatMap({ Int32($0) }) { kill(child, SIGTERM) }
        self.container = nil
        return await container.wait().status
    }

    func shell(_ script: String, standby: Bool? = nil) -> SandboxSpec {
        SandboxSpec(name: "a", command: ["/bin/sh", "-c", script], standby: standby)
    }

    /// Waits until a file in the workspace holds a whole line.
    func text(of file: String) async throws -> String {
        let path = folder.file("sandboxes/a/workspace/" + file)
        var text = ""
        try await waitUntil(file) {
            text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            return text.hasSuffix("\n")
        }
        return text
    }
}
