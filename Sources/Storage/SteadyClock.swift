import FoundationEssentials
import Glibc

/// Time for lifetimes: milliseconds that begin as the time of day and then only ever go on, as fast as time does.
///
/// Setting the machine's clock moves it neither forwards nor back. While a process runs, and over its restarts within one
/// boot of the machine, it follows the kernel's clock since boot, which counts sleep too. Between two boots nothing else
/// is known than the time of day: it goes on by as much as that did, and stands still where that was set back.
public struct SteadyClock: Sendable {
    /// What a clock showed, with what the next one needs to go on from there; to be stored beside what lives by it.
    public struct Reading: Sendable, Equatable {
        /// What the clock showed.
        public let milliseconds: Int64
        /// The time of day then, in milliseconds since 1970.
        public let wall: Int64
        /// The kernel's identity of the boot; empty where there is none.
        public let boot: String
        /// Milliseconds since that boot.
        public let sinceBoot: Int64

        public init(milliseconds: Int64, wall: Int64, boot: String, sinceBoot: Int64) {
            self.milliseconds = milliseconds
            self.wall = wall
            self.boot = boot
            self.sinceBoot = sinceBoot
        }
    }

    /// Where times come from.
    public struct Sources: Sendable {
        let wall: @Sendable () -> Int64
        let boot: String
        let sinceBoot: @Sendable () -> Int64

        /// - Parameters:
        ///   - wall: milliseconds since 1970.
        ///   - boot: names the boot that `sinceBoot` counts from; empty when unknown.
        ///   - sinceBoot: milliseconds that never go back within one boot.
        public init(
            wall: @escaping @Sendable () -> Int64, boot: String, sinceBoot: @escaping @Sendable () -> Int64
        ) {
            self.wall = wall
            self.boot = boot
            self.sinceBoot = sinceBoot
        }

        /// The kernel's.
        public static var system: Sources {
            let boot = (try? AtomicFile.read("/proc/sys/kernel/random/boot_id", limit: 64)) ?? nil
            return Sources(
                wall: { milliseconds(of: CLOCK_REALTIME) },
                boot: String(decoding: (boot ?? []).filter { $0 > 0x20 }, as: UTF8.self),
                sinceBoot: { milliseconds(of: CLOCK_BOOTTIME) })
        }

        private static func milliseconds(of clock: clockid_t) -> Int64 {
            var time = timespec()
            clock_gettime(clock, &time)
            return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        }
    }

    private let sources: Sources
    /// What the clock showed when `sinceBoot` was `anchor`.
    private let start: Int64
    private let anchor: Int64

    /// - Parameter last: the last reading that was stored; nil begins with the time of day.
    public init(after last: Reading?, sources: Sources = .system) {
        self.sources = sources
        anchor = sources.sinceBoot()
        guard let last else {
            start = sources.wall()
            return
        }
        let isSameBoot = !last.boot.isEmpty && last.boot == sources.boot && anchor >= last.sinceBoot
        let passed = isSameBoot ? anchor - last.sinceBoot : sources.wall() - last.wall
        start = last.milliseconds + max(0, passed)
    }

    /// The time now, in milliseconds.
    public var milliseconds: Int64 { start + max(0, sources.sinceBoot() - anchor) }

    /// What to store.
    public var reading: Reading {
        let sinceBoot = sources.sinceBoot()
        return Reading(
            milliseconds: start + max(0, sinceBoot - anchor), wall: sources.wall(), boot: sources.boot,
            sinceBoot: sinceBoot)
    }
}
