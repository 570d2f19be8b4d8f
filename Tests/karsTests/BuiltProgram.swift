import Foundation
import TestSupport

/// The programs built beside these tests.
enum BuiltProgram {
    static let kars = path("kars")
    static let karsLoad = path("kars-load")

    private static func path(_ name: String) -> String {
        let tests = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(filePath: tests ?? "").deletingLastPathComponent().appending(path: name).path
    }

    /// Runs kars to its end with a home of its own.
    static func run(
        _ arguments: [String], home: TemporaryFolder = TemporaryFolder(),
        environment: [String: String] = [:], input: String? = nil
    ) async throws -> ChildProcess.Output {
        try await ChildProcess(
            kars, arguments, environment: clean(environment, home), input: input
        ).wait()
    }

    /// Starts kars with a home of its own.
    static func start(
        _ arguments: [String], home: TemporaryFolder, environment: [String: String] = [:]
    ) throws -> ChildProcess {
        try ChildProcess(kars, arguments, environment: clean(environment, home))
    }

    /// Starts kars on a terminal, with a home of its own.
    static func onTerminal(
        _ arguments: [String], home: TemporaryFolder, environment: [String: String] = [:]
    ) throws -> TerminalProcess {
        try TerminalProcess(kars, arguments, environment: clean(environment, home))
    }

    /// What the person who runs the tests has set must not change them.
    private static func clean(_ environment: [String: String], _ home: TemporaryFolder) -> [String: String] {
        var variables = ["KARS_HOME": home.path, "KARS_NODE_SOCKET": "", "KARS_RELAY_LISTEN": "",
            "KARS_REGISTRY_LISTEN": "", "KARS_NODE_DRIVER": "embedded", "KARS_MESH_PASSPHRASE_FILE": "", "CREDENTIALS_DIRECTORY": ""]
        variables.merge(environment) { $1 }
        return variables
    }
}
