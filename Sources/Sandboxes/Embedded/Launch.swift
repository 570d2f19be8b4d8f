import Glibc
import FoundationEssentials
import Storage

/// Starts one sandbox: everything here blocks, so it runs on a queue of its own.
///
/// The order makes a crash of the node harmless at every step. The init inside waits for a first byte, which
/// it gets only when the record of the sandbox is on disk; it answers once its gateway socket listens, and
/// starts the agent on a second byte. It ends by itself when the node is gone before.
struct Launch {
    static let bubblewrap = "/usr/bin/bwrap"

    let spec: SandboxSpec
    let folders: SandboxFolders
    let host: HostLayout
    let karsExecutable: String
    let groupName: String
    let credentials: CredentialFolder

    /// How long the init may take to listen.
    static let patience: time_t = 10

    /// A sandbox in which all is ready but the agent: its init waits for the word to start it.
    struct Standby: StandbySandbox {
        let running: RunningSandbox
        /// The gateway's socket as an `O_PATH` descriptor.
        let socket: Int32
        /// The way to the init; closing it ends the init.
        let talk: Int32

        /// Says the word; the descriptors are the caller's, or closed when this throws.
        func startAgent(_ launch: Launch) throws(SandboxError) {
            defer { close(talk) }
            var word = SandboxInit.Word.start
            guard send(talk, &word, 1, Int32(MSG_NOSIGNAL)) == 1 else {
                close(socket)
                throw launch.failure()
            }
        }

        func discard() {
            close(talk)
            close(socket)
            running.signal(SIGKILL)
        }

        /// Bubblewrap is a child of this process, and would stay in its table of processes.
        func abandon() {
            discard()
            Task { [running] in
                _ = await running.waitForEnd()
                _ = await running.collect()
            }
        }
    }

    /// Brings the sandbox to the point where its agent can start.
    ///
    /// - Parameter loaded: the agent knows standby, and is started to wait.
    func prepare(loaded: Bool) throws(SandboxError) -> Standby {
        try folders.prepare(for: spec, credentials: credentials)
        let groups = ControlGroups.make(name: groupName, limits: spec.limits)
        do throws(SandboxError) {
            let (bubblewrap, initPid, talk) = try startBubblewrap(bounds: bounds(groups))
            do throws(SandboxError) {
                try groups.add(initPid)
                let record = try note(groups, initPid, bubblewrap)
                guard let running = RunningSandbox(record: record, folders: folders, isChild: true) else {
                    throw failure()
                }
                return Standby(running: running, socket: try introduce(talk, loaded: loaded), talk: talk)
            } catch {
                close(talk)
                // A process that is gone explains itself better than the call that missed it.
                let isGone = ["Z", "X", nil].contains(ProcessTable.status(of: initPid)?.state)
                kill(initPid, SIGKILL)
                _ = Spawn.reap(bubblewrap)
                throw isGone ? failure() : error
            }
        } catch {
            for _ in 0..<100 where !groups.remove() { usleep(10_000) }
            unlink(folders.record)
            throw error
        }
    }

    /// The first byte and the answer to it. The socket is opened before the agent runs, because afterwards its
    /// path is the agent's to change.
    private func introduce(_ talk: Int32, loaded: Bool) throws(SandboxError) -> Int32 {
        var patience = timeval(tv_sec: Self.patience, tv_usec: 0)
        setsockopt(talk, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var byte: UInt8 = 0
        var word = SandboxInit.Word.go
        guard send(talk, &word, 1, Int32(MSG_NOSIGNAL)) == 1, recv(talk, &byte, 1, 0) == 1 else {
            throw failure()
        }
        let socket = try folders.openSocket()
        if loaded {
            // An agent that cannot be loaded shows when it is to start.
            word = SandboxInit.Word.load
            _ = send(talk, &word, 1, Int32(MSG_NOSIGNAL))
        }
        return socket
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

    private func startBubblewrap(
        bounds: [SandboxInit.Bound]
    ) throws(SandboxError) -> (bubblewrap: pid_t, initPid: pid_t, talk: Int32) {
        let arguments = BubblewrapArguments(
            spec: spec, folders: folders, host: host, karsExecutable: karsExecutable,
            credentials: credentials.path)
        var opened: [Int32] = []
        defer { for descriptor in opened { close(descriptor) } }
        func keep(_ descriptor: Int32, _ what: String) throws(SandboxError) -> Int32 {
            guard descriptor >= 0 else { throw .lastFailure(what) }
            opened.append(descriptor)
            return descriptor
        }
        let null = try keep(open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null")
        let initLog = try keep(SandboxFolders.openLog(folders.initLog, O_TRUNC | O_APPEND), folders.initLog)
        let agentLog = try keep(SandboxFolders.openLog(folders.agentLog, 0), folders.agentLog)
        let rotated = try keep(SandboxFolders.openLog(folders.rotatedAgentLog, 0), folders.rotatedAgentLog)
        let status = try keep(SandboxFolders.openLog(folders.status, O_TRUNC | O_APPEND), folders.status)
        let options = try keep(optionsFile(arguments.options), folders.arguments)
        let filter = try SystemCallFilter.file()
        opened.append(filter)
        let pid = try LinuxCalls.makePipe()
        opened.append(pid.read)
        var talk: [Int32] = [-1, -1]
        let stream = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, stream, 0, &talk) == 0 else {
            close(pid.write)
            throw .lastFailure("a socket pair")
        }
        let started = Result { () throws(SandboxError) in
            try Spawn.start(
                arguments.commandLine(bubblewrap: Self.bubblewrap, bounds: bounds),
                environment: ["PATH": SandboxLayout.path],
                descriptors: [null, initLog, initLog, agentLog, rotated, talk[1], options, pid.write, status, filter])
        }
        close(pid.write)
        close(talk[1])
        do throws(SandboxError) {
            let bubblewrap = try started.get()
            let text = readText(pid.read) { $0.contains(UInt8(ascii: "}")) }
            let told = try? JSONDecoder().decode(BubblewrapStatus.self, from: Data(text.utf8))
            guard let initPid = told?.childPid else {
                kill(bubblewrap, SIGKILL)
                _ = Spawn.reap(bubblewrap)
                throw failure()
            }
            return (bubblewrap, initPid, talk[0])
        } catch {
            close(talk[0])
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
