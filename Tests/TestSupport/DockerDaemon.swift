import Foundation
import Synchronization

/// A Docker engine of its own for one test: apart from any other on the machine, ended with the value.
public final class DockerDaemon: Sendable {
    private static let program = "/usr/sbin/dockerd"

    /// Why there can be none; nil when there can. Tried once: an engine may be installed where the kernel, or a container
    /// around these tests, lets it run nothing.
    public static let obstacle: String? = {
        guard FileManager.default.isExecutableFile(atPath: program) else { return "\(program) is not installed" }
        guard geteuid() == 0 else { return "dockerd needs root" }
        let folder = TemporaryFolder()
        let engine = Process()
        engine.executableURL = URL(fileURLWithPath: program)
        engine.arguments = arguments(folder)
        engine.standardError = FileHandle.nullDevice
        guard (try? engine.run()) != nil else { return "\(program) cannot be run" }
        defer {
            engine.terminate()
            engine.waitUntilExit()
        }
        let deadline = ContinuousClock.now + .seconds(20)
        while !FileManager.default.fileExists(atPath: folder.file("docker.sock")) {
            guard engine.isRunning, ContinuousClock.now < deadline else { return "dockerd does not start here" }
            usleep(20_000)
        }
        // An image that holds nothing, and a program that is not in it: the engine's own runtime must say so.
        try? Data(count: 1024).write(to: URL(fileURLWithPath: folder.file("empty.tar")))
        let imported = client(["import", folder.file("empty.tar"), "probe"], folder)
        guard imported.status == 0 else { return "the engine takes no image: \(imported.said)" }
        let run = client(["run", "--rm", "--network", "none", "probe", "/x"], folder)
        return run.status == 127 ? nil : "the engine starts no container: \(run.said)"
    }()

    private static func arguments(_ folder: TemporaryFolder) -> [String] {
        [
            "--host", "unix://\(folder.file("docker.sock"))", "--data-root", folder.file("data"),
            "--exec-root", folder.file("exec"), "--pidfile", folder.file("pid"), "--iptables=false", "--bridge=none",
        ]
    }

    private static func client(_ words: [String], _ folder: TemporaryFolder) -> (status: Int32, said: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["docker", "--host", "unix://\(folder.file("docker.sock"))"] + words
        let pipe = Pipe()
        process.standardOutput = FileHandle.nullDevice
        process.standardError = pipe
        guard (try? process.run()) != nil else { return (-1, "no client") }
        let said = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, said.split(separator: "\n").last.map(String.init) ?? "")
    }

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
        try ChildProcess(program, arguments(folder))
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
