import Foundation

/// A server in a process of its own, and what the kernel says about it.
package final class ServerProcess {
    package let name: String
    /// Where clients connect: `ws://host:port`, or what the server calls it.
    package let address: String
    private let process: Process
    /// Some servers run until their standard input ends.
    private let input = Pipe()
    private let folder: URL

    /// Starts a server that prints where it listens or, with a fixed port, one that answers there.
    ///
    /// - Parameter place: finds the address in the first line that the server prints; nil when it is not there.
    package init(
        name: String, _ executable: String, _ arguments: (_ folder: String) -> [String],
        fixedPort: Int? = nil, place: (String) -> String? = { line in
            line.hasPrefix("listening ") ? String(line.dropFirst("listening ".count)) : nil
        }
    ) async throws {
        self.name = name
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("kars-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments(folder.path)
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        process.standardInput = input
        try process.run()
        if let fixedPort {
            address = "ws://127.0.0.1:\(fixedPort)"
            try await Self.answers(port: fixedPort, name: name)
            return
        }
        var text = ""
        while !text.contains("\n") {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { throw BenchError.noServer(name) }
            text += String(decoding: data, as: UTF8.self)
        }
        guard let line = text.split(separator: "\n").first, let address = place(String(line)) else {
            throw BenchError.noServer(name)
        }
        self.address = address
    }

    private static func answers(port: Int, name: String) async throws {
        for _ in 0..<200 {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var place = sockaddr_in()
            place.sin_family = sa_family_t(AF_INET)
            place.sin_port = in_port_t(port).bigEndian
            place.sin_addr.s_addr = inet_addr("127.0.0.1")
            let status = withUnsafePointer(to: &place) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if status == 0 { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw BenchError.noServer(name)
    }

    /// Processor time used so far, in microseconds.
    package var processorTime: Double {
        let text = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8)) ?? ""
        // The name of the program may hold spaces; behind it come the fields from the third on.
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) * 1_000_000 / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Resident memory in bytes.
    package var residentBytes: Int {
        let text = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/statm", encoding: .utf8)) ?? ""
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }

    package func stop() {
        try? input.fileHandleForWriting.close()
        process.terminate()
        let deadline = ContinuousClock.now + .seconds(2)
        while process.isRunning, .now < deadline { usleep(20_000) }
        // The Python relay waits for its clients.
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: folder)
    }
}
