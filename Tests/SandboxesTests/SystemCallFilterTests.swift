import Foundation
import TestSupport
import Testing

@testable import Sandboxes

/// What the kernel refuses a program in a real sandbox, and what it does not.
@Suite(.enabled(if: SandboxWorld.obstacle == nil, "\(SandboxWorld.obstacle ?? "")"))
struct SystemCallFilterTests {
    /// Calls with the error they end with. Each is made so that the kernel itself, asked by an ordinary user, would answer
    /// something else than EPERM.
    private static let refused: [(name: String, words: [Int], error: Int32)] = [
        ("mount", [1, 1, 1, 0, 1], EPERM), ("chroot", [1], EPERM), ("open_tree", [-1, 1, 0], EPERM),
        ("add_key", [1, 1, 0, 0, 0], EPERM), ("request_key", [1, 1, 0, 0], EPERM), ("keyctl", [9999, 0, 0, 0, 0], EPERM),
        ("perf_event_open", [1, 0, -1, -1, 0], EPERM), ("ptrace", [0, 0, 0, 0], EPERM),
        ("process_vm_readv", [1, 0, 0, 0, 0, 9], EPERM), ("process_vm_writev", [1, 0, 0, 0, 0, 9], EPERM),
        ("pidfd_getfd", [-1, 0, 0], EPERM), ("unshare", [0], EPERM), ("setns", [-1, 0], EPERM),
        ("name_to_handle_at", [-1, 1, 1, 1, 0xFFFF], EPERM), ("io_uring_setup", [0, 0], EPERM),
        ("io_uring_enter", [-1, 0, 0, 0, 0, 0], EPERM), ("io_uring_register", [-1, 0, 0, 0], EPERM),
        ("clock_settime", [99, 1], EPERM), ("settimeofday", [1, 0], EPERM), ("adjtimex", [1], EPERM),
        ("migrate_pages", [0, 1 << 40, 0, 0], EPERM), ("ustat", [0, 1], EPERM),
        ("clone3", [0, 0], ENOSYS),
        // A namespace for users, also with something in the upper half.
        ("clone", [0x1000_0011, 0, 0, 0, 0], EPERM), ("clone", [0x2_1000_0011, 0, 0, 0, 0], EPERM),
        ("ioctl", [0, 0x5412, 1], EPERM), ("ioctl", [0, 0x1_0000_5412, 1], EPERM),
        // To a hypervisor, to the kernel's ciphers, to a vehicle's bus; and numbers in disguise.
        ("socket", [40, 99, 0], EPERM), ("socket", [38, 99, 0], EPERM), ("socket", [29, 99, 1], EPERM),
        ("socket", [3, 99, 0], EPERM), ("socket", [0x1_0000_0001, 1, 0], EPERM),
    ]

    /// The numbers of these are checked, not the answers: the kernel refuses them to an ordinary user in any case.
    @Test func whatOnlyRootMayDoIsRefusedByNameToo() throws {
        for name in [
            "umount2", "pivot_root", "move_mount", "fsopen", "fsconfig", "fsmount", "mount_setattr", "swapon", "swapoff",
            "init_module", "finit_module", "delete_module", "kexec_load", "reboot", "bpf", "open_by_handle_at", "userfaultfd",
            "fanotify_init", "syslog", "acct", "clock_adjtime",
        ] {
            #expect(SystemCallFilter.refused.contains(name) && SystemCallFilter.number(of: name) != nil, "\(name)")
        }
    }

    @Test func anAgentIsRefusedWhatItNeverNeedsOfTheKernel() async throws {
        // Some are not on every architecture.
        let calls = Self.refused.filter { SystemCallFilter.number(of: $0.name) != nil }
        #expect(calls.count > 20)
        let script = calls.map { call in
            let words = [Int(SystemCallFilter.number(of: call.name) ?? -1)] + call.words
            return "try(\"\(call.name)\", \(words.map(String.init).joined(separator: ", ")));"
        }.joined(separator: "\n")
        try await SandboxWorld.with { world in
            let facts = try await world.output(
                of: #"""
                    grep '^Seccomp:' /proc/self/status
                    perl -e '
                        sub try {
                            my ($name, $number, @words) = @_;
                            my $child = fork;
                            if ($child) { waitpid($child, 0); return }
                            $! = 0;
                            my $result = syscall($number, @words);
                            syswrite(STDOUT, "$name " . ($result == -1 ? $! + 0 : "went through") . "\n");
                            exit;
                        }
                        \#(script)
                    '
                    """#)
            let lines = facts.split(separator: "\n").map(String.init)
            #expect(lines == ["Seccomp:\t2"] + calls.map { "\($0.name) \($0.error)" })
        }
    }

    @Test func whatAgentsNeedOfTheKernelWorks() async throws {
        try await SandboxWorld.with { world in
            let facts = try await world.output(
                of: #"""
                    exec 2>/dev/null
                    echo one | cat
                    (exit 3); echo $?
                    sleep 100 & kill $!; wait $! 2>/dev/null; echo $?
                    perl -e '
                        use Socket;
                        for my $family (AF_UNIX, AF_INET, AF_INET6, 16) {
                            socket(my $s, $family, $family == 16 ? SOCK_RAW : SOCK_STREAM, 0) or print "no socket $family: $!\n";
                        }
                        socketpair(my $one, my $other, AF_UNIX, SOCK_STREAM, 0) or print "no pair: $!\n";
                        mkdir "d" and rename "d", "e" and rmdir "e" or print "no folder: $!\n";
                        my $f; open($f, ">", "f") and truncate($f, 9) and chmod(0600, $f) and utime(1, 2, $f) or print "no file: $!\n";
                        symlink("f", "l") and link("f", "h") or print "no link: $!\n";
                        ioctl(STDIN, 0x5401, my $t = "") or $!{ENOTTY} and print "no terminal\n";
                    '
                    /opt/kars/bin/kars --version >/dev/null && echo kars
                    """#)
            #expect(facts == "one\n3\n143\nno terminal\nkars\n")
        }
    }

    @Test func theFilterIsWhatTheKernelTakesAndSmall() throws {
        let program = try SystemCallFilter.program.get()
        // Instructions of eight bytes, of which the kernel takes 4,096.
        #expect(program.count % 8 == 0 && program.count > 8 * 100 && program.count < 8 * 1_000)
    }
}
