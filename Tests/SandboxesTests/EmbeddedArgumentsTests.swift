import TestSupport
import Testing

@testable import Sandboxes

private func arguments(_ spec: SandboxSpec) -> BubblewrapArguments {
    var host = HostLayout()
    host.links = [("/bin", "usr/bin")]
    host.libraries = ["/opt/swift/libswiftCore.so"]
    return BubblewrapArguments(
        spec: spec, folders: SandboxFolders(root: "/data", name: spec.name), host: host,
        karsExecutable: "/usr/bin/kars", credentials: "/dev/shm/k/\(spec.name)")
}

@Test func aSandboxIsHardened() {
    let options = arguments(SandboxSpec(name: "a1")).options
    let text = options.joined(separator: " ")
    for part in [
        "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--disable-userns",
        "--cap-drop ALL", "--seccomp 9", "--new-session", "--as-pid-1", "--uid 1000 --gid 1000", "--clearenv", "--hostname a1",
        "--ro-bind /usr /usr", "--symlink usr/bin /bin",
        "--ro-bind /opt/swift/libswiftCore.so /opt/swift/libswiftCore.so",
        "--ro-bind /usr/bin/kars /opt/kars/bin/kars", "--ro-bind /dev/shm/k/a1 /run/secrets",
        "--proc /proc --remount-ro /proc", "--remount-ro /",
    ] { #expect(text.contains(part), "\(part)") }
    let writable = options.indices.filter { options[$0] == "--bind" }.map { options[$0 + 1] }
    #expect(writable == ["/data/a1/workspace", "/data/a1/run"])
}

@Test func aSandboxOutlivesItsNode() {
    #expect(!arguments(SandboxSpec(name: "a")).options.contains("--die-with-parent"))
}

@Test func theEnvironmentIsNotOnTheCommandLine() {
    let arguments = arguments(SandboxSpec(name: "a", environment: ["TOKEN": "s3cret", "HOME": "/sandbox/x"]))
    #expect(!arguments.commandLine(bubblewrap: "bwrap", bounds: []).contains { $0.contains("s3cret") })
    let options = arguments.options
    #expect(options.joined(separator: " ").contains("--setenv TOKEN s3cret"))
    #expect(options.indices.filter { options[$0] == "HOME" }.map { options[$0 + 1] } == ["/sandbox/x"])
}

@Test(arguments: ["", "A", "-a", "a-", "a.b", "a/b", "..", "a b", String(repeating: "a", count: 64)])
func aNameThatIsNoHostNameIsRefused(_ name: String) {
    #expect(throws: SandboxError.self) { try SandboxSpec(name: name).validate() }
}

@Test func aSpecThatCouldSmuggleOptionsIsRefused() throws {
    try SandboxSpec(name: "a", environment: ["GOOD_1": "any = value\n"]).validate()
    for variable in ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES"] {
        #expect(throws: SandboxError.self) { try SandboxSpec(name: "a", environment: [variable: "x"]).validate() }
    }
    for bad in [
        SandboxSpec(name: "a", command: []), SandboxSpec(name: "a", command: ["sh"]),
        SandboxSpec(name: "a", command: ["/bin/sh", "x\0--bind"]),
        SandboxSpec(name: "a", environment: ["A": "x\0--bind\0/\0/"]),
        SandboxSpec(name: "a", environment: ["A=B": "x"]), SandboxSpec(name: "a", environment: ["": "x"]),
        SandboxSpec(name: "a", environment: ["1A": "x"]),
        SandboxSpec(name: "a", limits: .init(memoryBytes: -1)),
    ] { #expect(throws: SandboxError.self) { try bad.validate() } }
}

@Test func theInitReadsBackItsOwnArguments() {
    let bounds = [
        SandboxInit.Bound(resource: .openFiles, value: 64), SandboxInit.Bound(resource: .core, value: 0),
    ]
    let words = SandboxInit.arguments(bounds: bounds, command: ["/bin/sh", "-c", "--", "--exec"])
    let invocation = SandboxInit.Invocation(parsing: Array(words.dropFirst()))
    #expect(invocation?.bounds == bounds)
    #expect(invocation?.command == ["/bin/sh", "-c", "--", "--exec"])
    #expect(invocation?.becomesCommand == false)
    for bad in [[], ["--"], ["x"], ["--limit", "x=1", "--", "a"], ["--limit", "as=-1", "--", "a"], ["--limit"]] {
        #expect(SandboxInit.Invocation(parsing: bad) == nil, "\(bad)")
    }
}

@Test func whatAnExecutableNeedsIsReadFromItsLoader() {
    let output = """
        \tlinux-vdso.so.1 (0x00007ffc)
        \tlibswiftCore.so => /opt/swift/usr/lib/swift/linux/libswiftCore.so (0x00007f1)
        \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2)
        \tlibwebsockets.so.17 => /usr/lib/x86_64-linux-gnu/libwebsockets.so.17 (0x00007f3)
        \tlibgone.so => not found
        \t/lib64/ld-linux-x86-64.so.2 (0x00007f4)
        """
    let needs = HostLayout.Dependencies(parsing: output)
    #expect(needs.loader == "/lib64/ld-linux-x86-64.so.2")
    #expect(
        needs.libraries == [
            "libswiftCore.so": "/opt/swift/usr/lib/swift/linux/libswiftCore.so",
            "libc.so.6": "/lib/x86_64-linux-gnu/libc.so.6",
            "libwebsockets.so.17": "/usr/lib/x86_64-linux-gnu/libwebsockets.so.17",
        ])
    #expect(HostLayout.Dependencies(parsing: "0.1.0\n") == HostLayout.Dependencies(parsing: ""))
}

@Test func theGroupsOfThisProcessAreFound() {
    let old = ControlGroups.Hierarchy.parse(
        mounts: """
            cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
            cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
            cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
            proc /proc proc rw 0 0
            """,
        groups: "9:name=systemd:/x\n4:memory:/box/1\n1:cpu,cpuacct:/\n0::/\n")
    #expect(old.first { $0.controllers == ["memory"] }?.folder == "/sys/fs/cgroup/memory/box/1")
    #expect(old.first { $0.controllers == ["cpu", "cpuacct"] }?.folder == "/sys/fs/cgroup/cpu,cpuacct")
    #expect(old.first { $0.controllers.isEmpty }?.folder == "/sys/fs/cgroup/unified")
    let new = ControlGroups.Hierarchy.parse(
        mounts: "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n", groups: "0::/user.slice/kars.service\n")
    #expect(new.map(\.folder) == ["/sys/fs/cgroup/user.slice/kars.service"])
}

@Test func aProcessCannotForgeItsStatus() {
    let tail = " T 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
    let status = ProcessTable.status(parsing: Array("12 (a) R 1 (evil) Z 9)\(tail)".utf8))
    #expect(status == ProcessTable.Status(state: "T", startTime: 4711))
    #expect(ProcessTable.status(parsing: Array("12 (a) T 1".utf8)) == nil)
    #expect(ProcessTable.status(parsing: []) == nil)
}

@Test func mutatedStatusLinesNeverCrash() {
    var random = SeededRandom(seed: 3)
    let good = Array("12 (sh) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20\n".utf8)
    for _ in 0..<2000 { _ = ProcessTable.status(parsing: random.mutation(of: good)) }
    let status = Array("{ \"child-pid\": 7 }\n{ \"exit-code\": 3 }\n".utf8)
    #expect(BubblewrapStatus.exitCode(in: status) == 3)
    for _ in 0..<500 { _ = BubblewrapStatus.exitCode(in: random.mutation(of: status)) }
    #expect(BubblewrapStatus.exitCode(in: Array("{ \"child-pid\": 7 }\n".utf8)) == nil)
}
