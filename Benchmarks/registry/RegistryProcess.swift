import Foundation

/// A registry in a process of its own.
final class RegistryProcess {
    let port: UInt16
    private let process = Process()
    private let input = Pipe()
    private let folder: URL

    /// - Parameter place: finds `host:port` in the first line that the server prints.
    init(
        _ name: String, _ executable: String, _ arguments: (_ folder: String) -> [String], place: (String) -> String
    ) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("kars-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments(folder.path)
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        process.standardInput = input
        try process.run()
        var text = ""
        while !text.contains("\n") {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { throw BenchError.noServer(name) }
            text += String(decoding: data, as: UTF8.self)
        }
        let line = text.split(separator: "\n").first.map(String.init) ?? ""
        guard let port = place(line).split(separator: ":").last.flatMap({ UInt16($0) }) else {
            throw BenchError.noServer(name)
        }
        self.port = port
    }

    /// Processor time used so far, in microseconds.
    var processorTime: Double {
        let text = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8)) ?? ""
        // The name of the program may hold spaces; behind it come the fields from the third on.
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) * 1_000_000 / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    func stop() {
        try? input.fileHandleForWriting.close()
        process.terminate()
        let deadline = ContinuousClock.now + .seconds(5)
        while process.isRunning, .now < deadline { usleep(20_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: folder)
    }
}
