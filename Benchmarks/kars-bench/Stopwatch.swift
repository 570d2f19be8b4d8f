import Glibc

/// Rates by the processor time of this thread: what other processes do on the machine matters little.
enum Stopwatch {
    private static let roundNanoseconds: UInt64 = 60_000_000
    private static let rounds = 12

    /// Operations a second of several contenders, each the best of rounds that take turns, so that a change of the
    /// processor's speed meets all alike.
    static func rates(_ contenders: [() throws -> Void]) throws -> [Double] {
        var best = [Double](repeating: 0, count: contenders.count)
        for _ in 0..<rounds {
            for (index, contender) in contenders.enumerated() { best[index] = max(best[index], try rate(contender)) }
        }
        return best
    }

    private static func rate(_ operation: () throws -> Void) rethrows -> Double {
        var count = 0
        var batch = 1
        let start = now()
        var elapsed: UInt64 = 0
        while elapsed < roundNanoseconds {
            for _ in 0..<batch { try operation() }
            count += batch
            elapsed = now() - start
            // The clock costs a system call: about a hundred looks at it are enough.
            if elapsed < roundNanoseconds / 100 { batch *= 2 }
        }
        return Double(count) * 1e9 / Double(elapsed)
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
