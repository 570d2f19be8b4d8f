import Glibc
import Storage

/// The processes of one started sandbox.
final class RunningSandbox: LivingSandbox {
    let record: RunRecord
    private let folders: SandboxFolders
    private let initWatch: ExitWatch
    private let bubblewrapWatch: ExitWatch?
    /// Bubblewrap is a child of this process and must be reaped by it.
    private let isChild: Bool

    /// - Returns: nil when the sandbox's init is gone.
    init?(record: RunRecord, folders: SandboxFolders, isChild: Bool) {
        guard record.bootID == ProcessTable.bootID(),
            let initWatch = ExitWatch(pid: record.initPid, startTime: record.initStart)
        else { return nil }
        self.record = record
        self.folders = folders
        self.initWatch = initWatch
        self.isChild = isChild
        bubblewrapWatch = ExitWatch(pid: record.bubblewrapPid, startTime: record.bubblewrapStart)
    }

    var pid: Int32 { record.initPid }
    var hasEnded: Bool { initWatch.hasEnded }

    func signal(_ number: Int32) { initWatch.signal(number) }

    /// Kills each process. The init's end takes the rest along, but only once they are thawed, and a process that runs
    /// until then can write.
    func killAll() {
        for member in ProcessTable.members(ofNamespaceOf: pid) { kill(member, SIGKILL) }
        signal(SIGKILL)
    }

    func waitForEnd(within limit: Duration? = nil) async -> Bool { await initWatch.wait(within: limit) }

    /// After the end: gathers the status and removes what the kernel keeps. Call it once.
    func collect() async -> Int32? {
        // Init is gone and the kernel ends whatever else was in its namespace; bubblewrap only writes a line.
        if let bubblewrapWatch, await !bubblewrapWatch.wait(within: .seconds(5)) {
            bubblewrapWatch.signal(SIGKILL)
            _ = await bubblewrapWatch.wait()
        }
        if isChild { _ = Spawn.reap(record.bubblewrapPid) }
        // The last of the dying processes leave their groups a moment after init.
        for _ in 0..<500 where !record.groups.remove() { try? await Task.sleep(for: .milliseconds(10)) }
        return Self.exitStatus(folders)
    }

    static func exitStatus(_ folders: SandboxFolders) -> Int32? {
        ((try? AtomicFile.read(folders.status, limit: 65_536)) ?? nil).flatMap(BubblewrapStatus.exitCode(in:))
    }

    // MARK: - Freezing

    var isFrozen: Bool {
        record.groups.canFreeze
            ? record.groups.isFrozen : ["T", "t"].contains(ProcessTable.status(of: pid)?.state)
    }

    /// Returns when every process stands still; undone when that takes more than five seconds.
    func freeze(name: String) async throws(SandboxError) {
        let deadline = ContinuousClock.now + .seconds(5)
        var attempt = 0
        while try !stopAll(attempt) {
            guard ContinuousClock.now < deadline, !hasEnded else {
                try thaw()
                throw .cannotFreeze(name: name)
            }
            attempt += 1
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    func thaw() throws(SandboxError) {
        if record.groups.canFreeze { return try record.groups.setFrozen(false) }
        for member in ProcessTable.members(ofNamespaceOf: pid) { kill(member, SIGCONT) }
    }

    /// One pass; true when nothing was left to stop, which with signals takes at least two passes, because
    /// a process can have forked behind the first.
    private func stopAll(_ attempt: Int) throws(SandboxError) -> Bool {
        if record.groups.canFreeze {
            if record.groups.isFrozen { return true }
            // The freezer of cgroup version 1 can stay half way when a process forks at the wrong moment.
            // Asking again helps, and letting all run for a moment helps when that does not.
            if attempt % 25 == 24 { try record.groups.setFrozen(false) }
            try record.groups.setFrozen(true)
            return record.groups.isFrozen
        }
        if attempt % 25 == 24 {
            // A child stopped between vfork(2) and exec keeps its parent in the kernel, where no signal stops it:
            // both get a moment to leave that place.
            try thaw()
            return false
        }
        var allStand = true
        for member in ProcessTable.members(ofNamespaceOf: pid) {
            guard let state = ProcessTable.status(of: member)?.state, !["T", "t", "Z", "X"].contains(state) else {
                continue
            }
            allStand = false
            kill(member, SIGSTOP)
        }
        return allStand
    }
}
