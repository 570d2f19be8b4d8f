import Foundation
import TestSupport

/// A virtual environment with the published AgentMesh library, made once and kept below `.build`.
enum PythonEnvironment {
    /// Release of the library that the tests speak with.
    static let release = "3.7.0"
    private static let packages = ["agentmesh-platform==\(release)", "websockets", "fastapi", "uvicorn", "httpx"]

    /// The environment's interpreter; nil, said aloud, where Python or the packages cannot be had.
    static let interpreter: Task<String?, Never> = Task {
        do {
            return try await prepared()
        } catch {
            print("SKIPPED: interoperability with the published Python library was NOT tested: \(error)")
            return nil
        }
    }

    private struct Unavailable: Error, CustomStringConvertible { let description: String }

    private static func prepared() async throws -> String {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let folder = root.appendingPathComponent(".build/interop-python-\(release)").path
        let python = folder + "/bin/python3"
        let stamp = folder + "/complete"
        if FileManager.default.fileExists(atPath: stamp) { return python }
        // Made anew after an interrupted attempt: half of an environment is none.
        try? FileManager.default.removeItem(atPath: folder)
        try await run("python3", ["-m", "venv", folder])
        try await run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"] + packages)
        try Data().write(to: URL(fileURLWithPath: stamp))
        return python
    }

    private static func run(_ executable: String, _ arguments: [String]) async throws {
        let output = try await ChildProcess(executable, arguments).wait()
        guard output.status == 0 else {
            let reason = output.err.split(separator: "\n").last.map(String.init) ?? "status \(output.status)"
            throw Unavailable(description: "\(executable) \(arguments.prefix(3).joined(separator: " ")): \(reason)")
        }
    }
}
