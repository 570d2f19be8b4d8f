import FoundationEssentials
import Glibc
import Storage

/// What is known of a process that runs in the background: of a service in `services/<role>.json` of the home folder.
struct ServiceRecord: Codable, Sendable {
    let role: String
    let pid: Int32
    /// Clock ticks between the start of the machine and that of the process: another process that later got the
    /// same number began at another time.
    let startedTicks: UInt64
    /// The address it printed, such as `http://127.0.0.1:8080`.
    let address: String

    /// - Returns: nil when the process is gone already.
    init?(role: String, pid: Int32, address: String) {
        guard let ticks = Self.startTicks(of: pid) else { return nil }
        self.role = role
        self.pid = pid
        startedTicks = ticks
        self.address = address
    }

    /// Whether the process runs still.
    var isAlive: Bool { Self.startTicks(of: pid) == startedTicks }

    /// The port it listens at.
    var port: Int? { address.split(separator: ":").last.flatMap { Int($0.prefix { $0 != "/" }) } }

    static func path(_ role: String, _ folder: String) -> String { "\(folder)/\(role).json" }

    static func read(_ role: String, in folder: String) -> ServiceRecord? { read(at: path(role, folder)) }

    static func read(at path: String) -> ServiceRecord? {
        guard let bytes = (try? AtomicFile.read(path, limit: 4096)) ?? nil else { return nil }
        return try? JSONDecoder().decode(ServiceRecord.self, from: Data(bytes))
    }

    func write(in folder: String) throws { try write(to: Self.path(role, folder)) }

    func write(to path: String) throws { try AtomicFile.write(Array((OutputFormat.json(self) + "\n").utf8), to: path) }

    /// Field 22 of `/proc/<pid>/stat`; the name of the program before it may hold blanks and parentheses. Nil for a
    /// process that is gone or that only waits to be collected.
    private static func startTicks(of pid: Int32) -> UInt64? {
        guard let bytes = (try? AtomicFile.read("/proc/\(pid)/stat", limit: 4096)) ?? nil,
            let end = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = bytes[(end + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, fields[0].first != UInt8(ascii: "Z") else { return nil }
        return UInt64(String(decoding: fields[19], as: UTF8.self))
    }
}
