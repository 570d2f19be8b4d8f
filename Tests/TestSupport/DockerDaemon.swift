import Foundation
import Synchronization

/// A Docker engine of its own for one test: apart from any other on the machine, ended with the value.
public final class DockerDaemon: Sendable {
    private static let program = "/usr/sbin/dockerd"

    /// Why there can be none; nil when there can.
    public static let obstacle: String? = {
        guard FileManager.default.isExecutableFile(atPath: program) else { return "\(program) is not installed" }
        return geteuid() == 0 ? nil : "dockerd needs root"
    }()

    /// Says aloud that tests are skipped.
    public static let isThere: Bool = {
        if let obstacle { print("SKIPPED: no Docker engine can be started: \(obstacle)") }
        return obstacle == nil
    }()

    private let folder: TemporaryFolder
    private let process: Mutex<ChildProcess>

    /// The path of its Unix socket.
    public var socket: String { folder.file("docker.sock") }
    /// How programs find it.
    public var environment: [String: String] { ["DOCKER_HOST": "unix://\(socket)"] }

    /// Starts an engine without a network, and waits until it listens.
    public init() async throws {
        folder = TemporaryFolder()
        process = Mutex(try Self.launch(folder))
        try await listens()
    }

    private static func launch(_ folder: TemporaryFolder) throws -> ChildProcess {
        try ChildProcess(
            program,
            [
                "--host", "unix://\(folder.file("docker.sock"))", "--data-root", folder.file("data"),
                "--exec-root", folder.file("exec"), "--pidfile", folder.file("pid"), "--iptables=false",
                "--bridge=none",
            ])
    }

    private func listens() async throws {
        let path = socket
        try await waitUntil("the engine listens", within: .seconds(60)) { FileManager.default.fileExists(atPath: path) }
    }

    /// Ends the engine, and with it its containers, and starts it again.
    public func restart() async throws {
        await stop()
        unlink(socket)
        let next = try Self.launch(folder)
        process.withLock { $0 = next }
        try await listens()
    }

    /// Makes an image of the files in a folder.
    ///
    /// - Parameter changes: lines as of a Dockerfile.
    public func makeImage(_ name: String, of folder: String, _ changes: [String]) async throws {
        let archive = self.folder.file("image.tar")
        for words in [
            ["tar", "-C", folder, "-cf", archive, "."],
            ["docker", "import"] + changes.flatMap { ["--change", $0] } + [archive, name],
        ] {
            let output = try await ChildProcess(words[0], Array(words.dropFirst()), environment: environment).wait()
            guard output.status == 0 else { throw DeadlineExceeded(description: "\(words[0]): \(output.err)") }
        }
    }

    /// Ends the engine and what it runs.
    public func stop() async {
        let running = process.withLock { $0 }
        running.signal(SIGTERM)
        _ = await running.wait()
    }
}
