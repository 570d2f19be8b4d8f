import Glibc
import Storage

/// What `/proc` says of processes.
enum ProcessTable {
    struct Status: Equatable {
        /// `R`, `S`, `D`, `T`, `Z`, …
        let state: Character
        /// Clock ticks since boot; with the pid it names one process for as long as the host is up.
        let startTime: UInt64
    }

    static func status(of pid: pid_t) -> Status? {
        guard let bytes = try? AtomicFile.read("/proc/\(pid)/stat", limit: 4096) else { return nil }
        return status(parsing: bytes)
    }

    /// The name in the second field is the process's own choice and may hold spaces and brackets: what
    /// follows its last bracket is the kernel's.
    static func status(parsing stat: [UInt8]) -> Status? {
        guard let bracket = stat.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = String(decoding: stat[(bracket + 1)...], as: UTF8.self).split(separator: " ")
        guard fields.count > 19, let state = fields[0].first, let start = UInt64(fields[19]) else { return nil }
        return Status(state: state, startTime: start)
    }

    /// The kernel's identity of this boot: pids and start times mean nothing after another one.
    static func bootID() -> String {
        let bytes = (try? AtomicFile.read("/proc/sys/kernel/random/boot_id", limit: 64)) ?? nil
        return String(decoding: bytes ?? [], as: UTF8.self).trimmedLine
    }

    /// All processes of the pid namespace `init` is the first of.
    static func members(ofNamespaceOf initPid: pid_t) -> [pid_t] {
        guard let namespace = link("/proc/\(initPid)/ns/pid"), let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var members: [pid_t] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let pid = pid_t(name), link("/proc/\(pid)/ns/pid") == namespace else { continue }
            members.append(pid)
        }
        return members
    }

    private static func link(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 128)
        let count = buffer.withUnsafeMutableBytes {
            readlink(path, $0.assumingMemoryBound(to: CChar.self).baseAddress!, $0.count)
        }
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
}

extension String {
    /// Without the newline and spaces a kernel file ends with.
    var trimmedLine: String {
        var text = Substring(self)
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
