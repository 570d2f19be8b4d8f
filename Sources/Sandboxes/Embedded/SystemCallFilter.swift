import CSeccomp
import Glibc

/// The system calls an embedded sandbox is refused, compiled for the kernel (`seccomp(2)`).
///
/// Bubblewrap sets it on the sandbox's first process after all is in place, so that everything inside has it for good.
/// What is refused is what an agent never needs and the kernel's holes are often found in, or what would reach beyond
/// the namespaces; the rest is allowed, as agents are any programs. Programs of another architecture than the host's,
/// such as 32-bit ones, are refused every call.
struct SystemCallFilter {
    /// Answer EPERM, whatever their arguments.
    static let refused = [
        // The view of the file system.
        "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig",
        "fsmount", "fspick", "mount_setattr", "swapon", "swapoff", "quotactl", "quotactl_fd", "fanotify_init",
        // The kernel itself.
        "init_module", "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms",
        "kexec_load", "kexec_file_load", "reboot", "bpf", "perf_event_open", "syslog", "lookup_dcookie", "acct", "uselib", "_sysctl",
        "sysfs", "ustat", "nfsservctl", "vhangup", "iopl", "ioperm", "vm86", "vm86old",
        // Keys, which no namespace keeps apart.
        "add_key", "request_key", "keyctl",
        // The memory of other processes, and what was opened in them.
        "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd", "move_pages",
        "migrate_pages",
        // Namespaces.
        "unshare", "setns",
        // Files by their numbers, past every mount.
        "open_by_handle_at", "name_to_handle_at",
        // Faults that a program handles itself: they make races in the kernel easy to win.
        "userfaultfd",
        // Work of the kernel's on behalf of a process that this filter does not see.
        "io_uring_setup", "io_uring_enter", "io_uring_register",
        // The machine's clock.
        "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "settimeofday", "adjtimex", "stime",
    ]

    /// Flags of `clone` that make a namespace: for mounts, control groups, host names, IPC, users, processes, networks.
    private static let namespaceFlags: [UInt64] = [
        0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000,
    ]
    /// Type into a terminal for the one who sits there, and a console's way to do so.
    private static let terminalRequests: [UInt64] = [0x5412, 0x541C]
    /// Kinds of sockets an agent has a use for: Unix, IPv4, IPv6 and netlink, with which programs look for interfaces.
    /// Others are large and seldom read code, and some, such as those to a hypervisor, heed no namespace.
    private static let families: Set<UInt64> = [0, 1, 2, 10, 16]

    /// The filter as the kernel takes it; compiled once.
    static let program: Result<[UInt8], SandboxError> = Result { () throws(SandboxError) in try compile() }

    /// The filter in a file of no folder, at its beginning; the caller closes it.
    static func file() throws(SandboxError) -> Int32 {
        let bytes = try program.get()
        let file = try LinuxCalls.makeUnnamedFile()
        guard write(file, bytes, bytes.count) == bytes.count, lseek(file, 0, SEEK_SET) == 0 else {
            close(file)
            throw .lastFailure("the filter of system calls")
        }
        return file
    }

    /// The number of a system call here; nil where there is none of that name.
    static func number(of name: String) -> Int32? {
        let number = seccomp_syscall_resolve_name(name)
        return number >= 0 ? number : nil
    }

    private static func compile() throws(SandboxError) -> [UInt8] {
        guard let filter = seccomp_init(SCMP_ACT_ALLOW) else { throw failure(ENOMEM) }
        defer { seccomp_release(filter) }
        let no = kars_seccomp_refuse(UInt16(EPERM))
        try check(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, no))
        // A tree instead of a list: each call of every program passes it.
        try check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2))
        for name in refused { try add(name, no, to: filter) }
        // Its flags lie in memory, where no filter can look; without it programs use `clone`.
        try add("clone3", kars_seccomp_refuse(UInt16(ENOSYS)), to: filter)
        for flag in namespaceFlags { try add("clone", no, when: (0, SCMP_CMP_MASKED_EQ, flag, flag), to: filter) }
        // The kernel looks at the lower half alone.
        for request in terminalRequests {
            try add("ioctl", no, when: (1, SCMP_CMP_MASKED_EQ, 0xFFFF_FFFF, request), to: filter)
        }
        let last = families.max() ?? 0
        for family in 0..<last where !families.contains(family) {
            try add("socket", no, when: (0, SCMP_CMP_EQ, family, 0), to: filter)
        }
        // This is every number with something in its upper half too.
        try add("socket", no, when: (0, SCMP_CMP_GT, last, 0), to: filter)
        return try export(filter)
    }

    /// - Parameter condition: which argument, how it is compared, with what, and for a mask with which value.
    private static func add(
        _ name: String, _ action: UInt32, when condition: (UInt32, scmp_compare, UInt64, UInt64)? = nil,
        to filter: scmp_filter_ctx
    ) throws(SandboxError) {
        let number = seccomp_syscall_resolve_name(name)
        // Of another architecture, or younger than the library.
        guard number >= 0 else { return }
        guard let condition else { return try check(seccomp_rule_add_array(filter, action, number, 0, nil)) }
        let comparison = scmp_arg_cmp(arg: condition.0, op: condition.1, datum_a: condition.2, datum_b: condition.3)
        let result = withUnsafePointer(to: comparison) { seccomp_rule_add_array(filter, action, number, 1, $0) }
        try check(result)
    }

    private static func export(_ filter: scmp_filter_ctx) throws(SandboxError) -> [UInt8] {
        let file = try LinuxCalls.makeUnnamedFile()
        defer { close(file) }
        try check(seccomp_export_bpf(filter, file))
        // The kernel takes 4,096 instructions of 8 bytes.
        var bytes = [UInt8](repeating: 0, count: 4096 * 8 + 1)
        let count = pread(file, &bytes, bytes.count, 0)
        guard count > 0, count < bytes.count else { throw failure(E2BIG) }
        return Array(bytes[..<count])
    }

    private static func check(_ result: Int32) throws(SandboxError) {
        guard result == 0 else { throw failure(-result) }
    }

    private static func failure(_ number: Int32) -> SandboxError {
        .unavailable(reason: "the filter of system calls cannot be made: \(String(cString: strerror(number)))")
    }
}
