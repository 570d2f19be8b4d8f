import Glibc
import Synchronization

/// Tells when the process holds more memory than it should.
///
/// Every queue has a bound of its own; this one is for their sum.
final class MemoryCeiling: Sendable {
    /// Resident bytes above which load is shed.
    let limit: Int
    private let measure: @Sendable () -> Int?
    private let isAbove = Atomic<Bool>(false)

    /// - Parameter measure: resident bytes of the process; nil when unknown, which sheds nothing.
    init(limit: Int, measure: @escaping @Sendable () -> Int? = MemoryCeiling.residentBytes) {
        self.limit = limit
        self.measure = measure
    }

    /// Whether load is to be shed.
    var isExceeded: Bool { isAbove.load(ordering: .relaxed) }

    /// Measures anew; returns the resident bytes. Shedding ends 10 % below the limit, lest it flutter.
    func update() -> Int? {
        guard let bytes = measure() else { return nil }
        let wasAbove = isExceeded
        let isAbove = bytes > (wasAbove ? limit / 10 * 9 : limit)
        // What was freed goes back to the kernel, or the process would look full for ever.
        if isAbove { _ = Self.trim?(0) }
        if isAbove != wasAbove { self.isAbove.store(isAbove, ordering: .relaxed) }
        return bytes
    }

    /// What the kernel counts for this process.
    @Sendable static func residentBytes() -> Int? {
        guard let text = text(of: "/proc/self/statm") else { return nil }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? Int(fields[1]).map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) } : nil
    }

    /// `malloc_trim` of the C library, whose header Swift's module leaves out.
    private static let trim = dlsym(nil, "malloc_trim").map {
        unsafeBitCast($0, to: (@convention(c) (Int) -> Int32).self)
    }

    /// Three quarters of what the container may use, or else of what the machine has.
    static var defaultLimit: Int {
        let machine = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        let container = text(of: "/sys/fs/cgroup/memory.max").flatMap { Int($0.prefix { $0 != "\n" }) }
        return min(machine, container ?? machine) / 4 * 3
    }

    /// A small file of the kernel's; reading it does not wait for a disk.
    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { Glibc.close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
}
