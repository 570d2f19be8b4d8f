import Glibc

/// The process's limit of open descriptors, which bounds the connections of all loops.
public enum DescriptorLimit {
    /// libwebsockets keeps two tables as long as the limit in every context.
    static let maximum: rlim_t = 1 << 18

    /// Raises the soft limit as far as the hard one and the tables allow; returns what holds afterwards.
    ///
    /// For servers at start, before the first ``EventLoop``.
    @discardableResult
    public static func raise() -> Int {
        set { min($0.rlim_max, maximum) }
    }

    /// Keeps an unlimited soft limit from making every loop allocate gigabytes.
    static func capForTables() {
        set { min($0.rlim_cur, maximum) }
    }

    @discardableResult
    private static func set(_ wanted: (rlimit) -> rlim_t) -> Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let soft = wanted(limit)
        if soft != limit.rlim_cur {
            var changed = limit
            changed.rlim_cur = soft
            if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &changed) == 0 { limit = changed }
        }
        return Int(limit.rlim_cur)
    }
}
