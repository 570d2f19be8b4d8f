import Glibc
import FoundationEssentials
import Storage

/// Starts one sandbox: everything here blocks, so it runs on a queue of its own.
///
/// The order makes a crash of the node harmless at every step: the init inside waits for a byte, which it
/// gets only when the record of the sandbox is on disk, and ends by itself when the node is gone before.
struct Launch {
    static let bubblewrap = "/usr/bin/bwrap"

    let spec: SandboxSpec
    let folders: SandboxFolders
    let host: HostLayout
    let karsExecutable: String
    let groupName: String

    func run() throws(SandboxError) -> RunningSandbox {
        try prepareFolders()
        let groups = ControlGroups.make(name: groupName, limits: spec.limits)
        do throws(SandboxError) {
            let (bubblewrap, initPid, go) = try startBubblewrap(bounds: bounds(groups))
            defer { close(go) }
            do throws(SandboxError) {
                try groups.add(initPid)
                let record = try note(groups, initPid, bubblewrap)
                guard let running = RunningSandbox(record: record, folders: folders, isChild: true),
                    send(go, "g", 1, Int32(MSG_NOSIGNAL)) == 1
                else { throw failure() }
                return running
            } catch {
                kill(initPid, SIGKILL)
                _ = Spawn.reap(bubblewrap)
                throw error
            }
        } catch {
            for _ in 0..<100 where !groups.remove() { usleep(10_000) }
            throw error
        }
    }

    /// What the kernel enforces per process, because no group does.
    private func bounds(_ groups: ControlGroups) -> [SandboxInit.Bound] {
        let limits = spec.limits
        var bounds = [SandboxInit.Bound(resource: .core, value: 0)]
        if limits.openFiles > 0 { bounds.append(.init(resource: .openFiles, value: limits.openFiles)) }
        if limits.memoryBytes > 0 && !groups.enforced.contains("memory") {
            bounds.append(.init(resource: .addressSpace, value: limits.memoryBytes))
        }
        // The kernel does not count the processes of the host's root.
        if limits.pids > 0 && !groups.enforced.contains("pids") && geteuid() != 0 {
            bounds.append(.init(resource: .processes, value: limits.pids))
        }
        return bounds
    }

    private func prepareFolders() throws(SandboxError) {
        // The agent of an earlier run may have put anything there: removed as a tree, links not followed.
        try removeTree(folders.run)
        for path in [folders.record, folders.status] where unlink(path) != 0 && errno != ENOENT {
            throw .lastFailure(path)
        }
        do {
            for folder in [folders.run, folders.logs, folders.etc] { try AtomicFile.makeFolder(folder) }
            for (name, text) in BubblewrapArguments.settings(for: spec) {
                try AtomicFile.write(Array(text.utf8), to: folders.etc + "/" + name, mode: 0o644)
            }
        } catch { throw .system(what: folders.root, reason: "\(error)") }
    }

    private func startBubblewrap(
        bounds: [SandboxInit.Bound]
    ) throws(SandboxError) -> (bubblewrap: pid_t, initPid: pid_t, go: Int32) {
        let arguments = BubblewrapArguments(
            spec: spec, folders: folders, host: host, karsExecutable: karsExecutable)
        var opened: [Int32] = []
        defer { for descriptor in opened { close(descriptor) } }
        func keep(_ descriptor: Int32, _ what: String) throws(SandboxError) -> Int32 {
            guard descriptor >= 0 else { throw .lastFailure(what) }
            opened.append(descriptor)
            return descriptor
        }
        let null = try keep(open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null")
        let initLog = try keep(openLog(folders.initLog, O_TRUNC | O_APPEND), folders.initLog)
        let agentLog = try keep(openLog(folders.agentLog, 0), folders.agentLog)
        let rotated = try keep(openLog(folders.rotatedAgentLog, 0), folders.rotatedAgentLog)
        let status = try keep(openLog(folders.status, O_TRUNC | O_APPEND), folders.status)
        let options = try keep(optionsFile(arguments.options), folders.arguments)
        let pid = try LinuxCalls.makePipe()
        opened.append(pid.read)
        var go: [Int32] = [-1, -1]
        let stream = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, stream, 0, &go) == 0 else {
            close(pid.write)
            throw .lastFailure("a socket pair")
        }
        let started = Result { () throws(SandboxError) in
            try Spawn.start(
                arguments.commandLine(bubblewrap: Self.bubblewrap, bounds: bounds),
                environment: ["PATH": SandboxLayout.path],
                descriptors: [null, initLog, initLog, agentLog, rotated, go[1], options, pid.write, status])
        }
        close(pid.write)
        close(go[1])
        do throws(SandboxError) {
            let bubblewrap = try started.get()
            let text = readText(pid.read) { $0.contains(UInt8(ascii: "}")) }
            let told = try? JSONDecoder().decode(BubblewrapStatus.self, from: Data(text.utf8))
            guard let initPid = told?.childPid else {
                kill(bubblewrap, SIGKILL)
                _ = Spawn.reap(bubblewrap)
                throw failure()
            }
            return (bubblewrap, initPid, go[0])
        } catch {
            close(go[0])
            throw error
        }
    }

    private func note(
        _ groups: ControlGroups, _ initPid: pid_t, _ bubblewrap: pid_t
    ) throws(SandboxError) -> RunRecord {
        guard let initStart = ProcessTable.status(of: initPid)?.startTime,
            let bubblewrapStart = ProcessTable.status(of: bubblewrap)?.startTime
        else { throw failure() }
        var confinement = SandboxConfinement()
        confinement.groupLimits = groups.enforced
        confinement.processLimits = bounds(groups).map(\.resource.rawValue)
        confinement.freezer = groups.canFreeze ? "cgroup" : "signals"
        let record = RunRecord(
            bootID: ProcessTable.bootID(), initPid: initPid, initStart: initStart,
            bubblewrapPid: bubblewrap, bubblewrapStart: bubblewrapStart, groups: groups,
            confinement: confinement)
        try record.write(to: folders.record)
        return record
    }

    /// What bubblewrap or the init said last.
    func failure() -> SandboxError {
        let said = ((try? AtomicFile.read(folders.initLog)) ?? nil) ?? []
        let line = String(decoding: said, as: UTF8.self).split(separator: "\n").last.map(String.init)
        return .cannotStart(name: spec.name, reason: line ?? "its first process ended without a word")
    }

    private func openLog(_ path: String, _ flags: Int32) -> Int32 {
        open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0o600)
    }

    /// The options as bubblewrap reads them, in a file without a name: they hold the agent's environment.
    private func optionsFile(_ options: [String]) -> Int32 {
        unlink(folders.arguments)
        let file = open(folders.arguments, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { return file }
        unlink(folders.arguments)
        let joined: [[UInt8]] = options.map { Array($0.utf8) + [0] }
        var bytes = Array(joined.joined())[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            guard count > 0 else {
                close(file)
                return -1
            }
            bytes = bytes.dropFirst(count)
        }
        lseek(file, 0, SEEK_SET)
        return file
    }
}

/// Deletes a folder and all in it; links in it are deleted, never followed.
func removeTree(_ path: String) throws(SandboxError) {
    do { try FileManager.default.removeItem(atPath: path) } catch {
        // A dangling link or nothing at all is also an answer.
        guard access(path, F_OK) == 0 else { return }
        throw .system(what: path, reason: "cannot be deleted")
    }
}
