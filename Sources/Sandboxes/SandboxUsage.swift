import Glibc
import Storage

/// What the processes of a running sandbox use, as the kernel tells it at one moment.
public struct SandboxUsage: Codable, Sendable, Equatable {
    public var processes: Int
    /// Memory that is resident, in bytes; what processes share counts once for each.
    public var memoryBytes: Int
    /// Processor time of all of them since the sandbox started, those that ended included, in seconds.
    public var processorSeconds: Double

    public init(processes: Int, memoryBytes: Int, processorSeconds: Double) {
        self.processes = processes
        self.memoryBytes = memoryBytes
        self.processorSeconds = processorSeconds
    }

    /// Of all processes in the pid namespace that `pid` is the first of; nil when there are none.
    init?(ofNamespaceOf pid: pid_t) {
        self.init(processes: 0, memoryBytes: 0, processorSeconds: 0)
        for member in ProcessTable.members(ofNamespaceOf: pid) {
            // One that ended since it was found is left out.
            guard let stat = try? AtomicFile.read("/proc/\(member)/stat", limit: 4096), let own = SandboxUsage(parsing: stat)
            else { continue }
            processes += 1
            memoryBytes += own.memoryBytes
            processorSeconds += own.processorSeconds
        }
        if processes == 0 { return nil }
    }

    /// Of one process and the children it has waited for, from its `/proc/<pid>/stat` (proc(5)).
    init?(parsing stat: [UInt8]) {
        guard let bracket = stat.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        // What follows the name begins with the third field.
        let fields = String(decoding: stat[(bracket + 1)...], as: UTF8.self).split(separator: " ")
        guard fields.count > 21, let pages = Int(fields[21]), pages >= 0, pages < Int.max >> 20 else { return nil }
        let ticks = fields[11...14].compactMap { Double($0) }
        guard ticks.count == 4, ticks.allSatisfy({ $0 >= 0 }) else { return nil }
        self.init(
            processes: 1, memoryBytes: pages * sysconf(Int32(_SC_PAGESIZE)),
            processorSeconds: ticks.reduce(0, +) / Double(sysconf(Int32(_SC_CLK_TCK))))
    }
}
