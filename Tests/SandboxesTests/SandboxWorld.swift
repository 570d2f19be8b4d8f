import Foundation
import Observability
import TestSupport
import Testing
import Transport

@testable import Sandboxes

/// A folder, a loop and a driver for one test; whatever still runs is killed at its end.
struct SandboxWorld {
    let folder = TemporaryFolder()
    let loop: EventLoop
    let driver: EmbeddedDriver

    private init(loop: EventLoop) throws {
        self.loop = loop
        driver = try Self.makeDriver(folder, loop)
    }

    /// Why the tests of real sandboxes are skipped; nil when they run.
    static let obstacle: String? = {
        if let obstacle = EmbeddedDriver.obstacle() { return obstacle }
        return FileManager.default.isExecutableFile(atPath: karsExecutable) ? nil : "\(karsExecutable) is missing"
    }()

    /// The executable built beside the test bundle.
    static let karsExecutable: String = {
        let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
        let bundle = maps.split(separator: "\n").first { $0.hasSuffix(".xctest") }
        let path = bundle?.firstIndex(of: "/").map { String(bundle![$0...]) } ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: path).deletingLastPathComponent().appendingPathComponent("kars").path
    }()

    static func makeDriver(_ folder: TemporaryFolder, _ loop: EventLoop) throws -> EmbeddedDriver {
        try EmbeddedDriver(
            root: folder.path, karsExecutable: karsExecutable, loop: loop, logger: .silent)
    }

    static func with(_ body: (SandboxWorld) async throws -> Void) async throws {
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let world = try SandboxWorld(loop: loop)
        let result: Result<Void, any Error>
        do { result = .success(try await body(world)) } catch { result = .failure(error) }
        for name in world.driver.names() { try? await world.driver.stop(name, grace: .zero) }
        try result.get()
    }

    /// Ends what a failed test has left running, once no driver is there to do it.
    static func killLeftover(_ path: String) {
        guard let record = RunRecord.read(path),
            ProcessTable.status(of: record.initPid)?.startTime == record.initStart
        else { return }
        kill(record.initPid, SIGKILL)
        if record.groups.canFreeze { try? record.groups.setFrozen(false) }
    }

    /// Runs a shell script as the agent to its end and returns what it printed.
    func output(of script: String, environment: [String: String] = [:]) async throws -> String {
        try await driver.create(shell("probe", script, environment: environment))
        try await driver.start("probe")
        _ = try await driver.waitForExit(of: "probe")
        return try driver.logs(of: "probe", lines: 1000)
    }

    func shell(
        _ name: String, _ script: String, environment: [String: String] = [:],
        limits: SandboxSpec.Limits = .init()
    ) -> SandboxSpec {
        SandboxSpec(
            name: name, command: ["/bin/sh", "-c", script], environment: environment, limits: limits)
    }

    /// Waits until a file in the sandbox's workspace holds something.
    func text(of file: String, in name: String) async throws -> String {
        let path = try driver.folders(of: name).workspace + "/" + file
        var text = ""
        try await waitUntil("\(file) of \(name)") {
            text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            return text.hasSuffix("\n")
        }
        return text
    }
}
