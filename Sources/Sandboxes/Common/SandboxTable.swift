import Glibc
import Synchronization

/// A sandbox whose agent runs.
protocol LivingSandbox: Sendable {
    /// Its init as the host sees it.
    var pid: Int32 { get }
    var isFrozen: Bool { get }
    /// Its init is gone.
    var hasEnded: Bool { get }
}

/// A sandbox in which all is ready but the agent.
protocol StandbySandbox: Sendable {
    /// Gives the sandbox up; the caller sees to what is left of it.
    func discard()
    /// Gives the sandbox up where nobody is left to see to it.
    func abandon()
}

extension StandbySandbox {
    func abandon() { discard() }
}

/// The sandboxes a driver knows, and which of them an operation has claimed.
final class SandboxTable<Running: LivingSandbox, Standby: StandbySandbox>: Sendable {
    struct Entry {
        let spec: SandboxSpec
        var running: Running?
        /// Ready for a start that takes little time; not running yet.
        var standby: Standby?
        /// Ends with the agent's status once nothing of the sandbox is left; nil before the first start.
        var end: Task<Int32?, Never>?
        /// Known after an end, also of an earlier node's run.
        var exit: Int32??
        /// An operation has claimed the sandbox.
        var isBusy = false
        /// The gateway socket itself (`O_PATH`), whatever its path may later name.
        var socket: Int32?

        init(spec: SandboxSpec, isBusy: Bool = false) {
            self.spec = spec
            self.isBusy = isBusy
        }

        /// Keeps one number per sandbox, so that a path handed out stays right after a restart.
        mutating func keep(_ socket: Int32) {
            guard let old = self.socket else { return self.socket = socket }
            _ = LinuxCalls.replace(old, with: socket)
            close(socket)
        }
    }

    /// Held for a few instructions only.
    private let entries = Mutex<[String: Entry]>([:])

    deinit {
        entries.withLock { entries in
            for entry in entries.values {
                entry.standby?.abandon()
                if let socket = entry.socket { close(socket) }
            }
        }
    }

    var names: [String] { entries.withLock { $0.keys.sorted() } }

    func entry(_ name: String) throws(SandboxError) -> Entry {
        guard let entry = entries.withLock({ $0[name] }) else { throw .unknown(name: name) }
        return entry
    }

    /// False when there is one of the name.
    func insert(_ entry: Entry) -> Bool {
        entries.withLock { entries in
            guard entries[entry.spec.name] == nil else { return false }
            entries[entry.spec.name] = entry
            return true
        }
    }

    func remove(_ name: String) {
        if let socket = entries.withLock({ $0.removeValue(forKey: name)?.socket }) { close(socket) }
    }

    func change(_ name: String, _ change: (inout Entry) -> Void) {
        entries.withLock { entries in
            guard var entry = entries[name] else { return }
            change(&entry)
            entries[name] = entry
        }
    }

    /// Claims a sandbox for one operation, until ``finish(_:)``.
    ///
    /// - Parameter needed: the word for the state `isFit` looks for.
    func begin(
        _ name: String, needed: String, where isFit: (Entry) -> Bool
    ) throws(SandboxError) -> Entry {
        try entries.withLock { entries throws(SandboxError) -> Entry in
            guard let entry = entries[name] else { throw .unknown(name: name) }
            guard !entry.isBusy else { throw .busy(name: name) }
            guard isFit(entry) else { throw .wrongState(name: name, needed: needed) }
            entries[name]?.isBusy = true
            return entry
        }
    }

    func finish(_ name: String) { change(name) { $0.isBusy = false } }
}
