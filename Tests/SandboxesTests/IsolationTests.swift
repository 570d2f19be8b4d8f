import Foundation
import TestSupport
import Testing

@testable import Sandboxes

/// Facts about a real sandbox, as a program inside sees them.
@Suite(.enabled(if: SandboxWorld.obstacle == nil, "\(SandboxWorld.obstacle ?? "")"))
struct IsolationTests {
    @Test func anAgentIsAnUnprivilegedUserWithoutCapabilities() async throws {
        try await SandboxWorld.with { world in
            let facts = try await world.output(
                of: """
                    id -u; id -un; hostname
                    grep -E '^(Cap|NoNewPrivs)' /proc/self/status
                    unshare -U true || echo denied
                    """)
            let lines = facts.split(separator: "\n").map(String.init)
            #expect(lines.prefix(3) == ["1000", "sandbox", "probe"])
            let capabilities = lines.filter { $0.hasPrefix("Cap") }
            #expect(capabilities.count == 5 && capabilities.allSatisfy { $0.hasSuffix("\t0000000000000000") })
            #expect(lines.contains("NoNewPrivs:\t1"))
            #expect(lines.last == "denied")
        }
    }

    @Test func anAgentHasNoNetworkButLoopback() async throws {
        try await SandboxWorld.with { world in
            let facts = try await world.output(
                of: "tail -n +3 /proc/net/dev | cut -d: -f1; tail -n +2 /proc/net/route | wc -l")
            #expect(facts.split(whereSeparator: \.isWhitespace) == ["lo", "0"])
        }
    }

    @Test func anAgentSeesOnlyItsOwnProcesses() async throws {
        try await SandboxWorld.with { world in
            let facts = try await world.output(of: "for p in /proc/[0-9]*; do cat $p/comm; done")
            let names = Set(facts.split(separator: "\n").map(String.init))
            #expect(names.isSubset(of: ["kars", "sh", "cat"]))
        }
    }

    @Test func anAgentSeesNothingOfTheHostsHomes() async throws {
        try await SandboxWorld.with { world in
            let facts = try await world.output(
                of: """
                    ls -A /home /root /mnt /media /srv /var /boot /sys /etc/shadow \(world.folder.path) 2>/dev/null
                    ls -A / /etc /run /tmp
                    """)
            let words = Set(facts.split(whereSeparator: \.isWhitespace).map(String.init))
            for absent in ["home", "root", "mnt", "media", "srv", "var", "boot", "sys", "shadow"] {
                #expect(!words.contains(absent), "\(absent)")
            }
            #expect(words.isSuperset(of: ["usr", "sandbox", "proc", "dev", "passwd", "kars"]))
        }
    }

    @Test func anAgentWritesOnlyItsWorkspaceAndTmp() async throws {
        try await SandboxWorld.with { world in
            let facts = try await world.output(
                of: """
                    for f in /x /usr/x /etc/x /etc/passwd /opt/kars/bin/kars /opt/kars/x /proc/sys/x /run/x; do
                        (echo x >> $f) 2>/dev/null && echo wrote $f
                    done
                    for f in /sandbox/kept /tmp/x /dev/shm/x; do (echo x > $f) && echo allowed $f; done
                    """)
            #expect(facts == "allowed /sandbox/kept\nallowed /tmp/x\nallowed /dev/shm/x\n")
            let kept = try world.driver.folders(of: "probe").workspace + "/kept"
            let owner = try FileManager.default.attributesOfItem(atPath: kept)[.ownerAccountID] as? UInt32
            #expect(owner == geteuid())
        }
    }

    /// The kernel lets the host's root write these by its number alone, without any capability. The value
    /// written is the one that is there.
    @Test func anAgentCannotChangeTheHostsKernelSettings() async throws {
        try await SandboxWorld.with { world in
            let facts = try await world.output(
                of: """
                    for f in kernel/core_pattern kernel/panic vm/swappiness fs/file-max; do
                        v=$(cat /proc/sys/$f) || echo unreadable $f
                        (printf '%s' "$v" > /proc/sys/$f) 2>/dev/null && echo wrote $f
                    done
                    (echo 0 > /proc/self/oom_score_adj) 2>/dev/null && echo wrote oom_score_adj
                    echo end
                    """)
            #expect(facts == "end\n")
        }
    }

    @Test func theEnvironmentIsTheContractsAndTheSpecs() async throws {
        setenv("KARS_TEST_LEAK", "leaked", 1)
        try await SandboxWorld.with { world in
            let facts = try await world.output(of: "env", environment: ["TOKEN": "a b=c"])
            let lines = Set(facts.split(separator: "\n").map(String.init))
            #expect(
                lines.isSuperset(of: [
                    "HOME=/sandbox", "SANDBOX_NAME=probe", "KARS_RUNTIME_CONTRACT_VERSION=v1",
                    "KARS_RUNTIME_KIND=byo", "TOKEN=a b=c",
                ]))
            #expect(!facts.contains("leaked"))
        }
    }

    @Test func anAgentHoldsNoDescriptorOfItsKeepers() async throws {
        try await SandboxWorld.with { world in
            let facts = try await world.output(
                of: "ls /proc/$$/fd; readlink /proc/1/fd/3 || (echo x >> /proc/1/fd/3) 2>/dev/null || echo hidden")
            #expect(facts.split(separator: "\n") == ["0", "1", "2", "hidden"])
        }
    }

    @Test func limitsHold() async throws {
        try await SandboxWorld.with { world in
            let limits = SandboxSpec.Limits(
                memoryBytes: 256 << 20, pids: 24, openFiles: 99, temporaryBytes: 1 << 20)
            try await world.driver.create(
                world.shell(
                    "probe",
                    """
                    ulimit -n; ulimit -c
                    head -c 2000000 /dev/zero > /tmp/big 2>/dev/null || echo full
                    read x < /sandbox/go
                    """,
                    limits: limits))
            #expect(mkfifo(try world.driver.folders(of: "probe").workspace + "/go", 0o600) == 0)
            try await world.driver.start("probe")
            try await waitUntil("the probe's words") {
                try world.driver.logs(of: "probe", lines: 9) == "99\n0\nfull\n"
            }
            let confinement = try world.driver.confinement(of: "probe")
            #expect(confinement.processLimits.contains("nofile"))
            let isBounded = confinement.groupLimits.contains("memory") || confinement.processLimits.contains("as")
            #expect(isBounded)
        }
    }

    @Test func anAgentCannotFloodTheHostWithProcesses() async throws {
        try await SandboxWorld.with { world in
            let limits = SandboxSpec.Limits(pids: 20, cpuPercent: 150)
            try await world.driver.create(
                world.shell(
                    "probe", "i=0; while [ $i -lt 60 ]; do sleep 100 & i=$((i+1)); done; echo flooded",
                    limits: limits))
            try await world.driver.start("probe")
            let record = try #require(RunRecord.read(world.driver.folders(of: "probe").record))
            if let folder = record.groups.folders["cpu"], record.groups.usesUnified.isEmpty {
                #expect(try String(contentsOfFile: folder + "/cpu.cfs_quota_us", encoding: .utf8) == "150000\n")
            }
            _ = try await world.driver.waitForExit(of: "probe")
            // As the host's root, without the controller, nothing bounds processes: the confinement says so.
            let isBounded =
                record.confinement.groupLimits.contains("pids") || record.confinement.processLimits.contains("nproc")
            #expect(try world.driver.logs(of: "probe", lines: 9).contains("flooded") == !isBounded)
        }
    }
}
