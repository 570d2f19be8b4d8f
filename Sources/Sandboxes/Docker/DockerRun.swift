import FoundationEssentials
import Storage
import Synchronization

/// The container of one started sandbox.
final class DockerRun: LivingSandbox {
    let id: String
    let name: String
    let pid: Int32
    let engine: DockerEngine
    private let frozen: Mutex<Bool>
    private let ended = Mutex(false)

    init(id: String, name: String, pid: Int32, engine: DockerEngine, isFrozen: Bool = false) {
        self.id = id
        self.name = name
        self.pid = pid
        self.engine = engine
        frozen = Mutex(isFrozen)
    }

    var isFrozen: Bool { frozen.withLock { $0 } }
    var hasEnded: Bool { ended.withLock { $0 } }

    // What an engine did to a container it notes once more when it hears of it from below. That may come late, so that for a
    // moment after a freeze it takes the container for running, and after a thaw for paused. It is asked until it knows.
    private static let patience = Duration.seconds(5)
    private static let pause = Duration.milliseconds(20)

    func freeze() async throws(SandboxError) {
        guard !isFrozen else { return }
        let deadline = ContinuousClock.now + Self.patience
        while try await !engine.pause(id) {
            guard ContinuousClock.now < deadline else { throw .cannotFreeze(name: name) }
            // It may be paused indeed, by a request whose answer was lost. That is not known here, and must be.
            _ = try? await engine.unpause(id)
            try? await Task.sleep(for: Self.pause)
        }
        frozen.withLock { $0 = true }
    }

    func thaw() async throws(SandboxError) {
        guard isFrozen else { return }
        let deadline = ContinuousClock.now + Self.patience
        // What it still takes for running at the end runs.
        while try await !engine.unpause(id), ContinuousClock.now < deadline { try? await Task.sleep(for: Self.pause) }
        frozen.withLock { $0 = false }
    }

    func signal(_ name: String) async throws(SandboxError) {
        try await engine.kill(id, signal: name)
        // The engine resumes what it kills.
        frozen.withLock { $0 = false }
    }

    /// Waits for the end, over every pause of the engine, and removes the container.
    ///
    /// - Returns: the agent's status; nil when nobody could learn it.
    func collect() async -> Int32? {
        var exit: Int32?
        var pause = Duration.milliseconds(100)
        while true {
            do throws(SandboxError) {
                exit = try await engine.wait(id)
                break
            } catch {
                // An engine that is started anew has its containers still, or has ended them.
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(5))
            }
        }
        ended.withLock { $0 = true }
        try? await engine.remove(id)
        return exit
    }
}

/// What a node notes of a started container, so that a later node finds it.
struct ContainerRecord: Codable, Sendable {
    var id: String
    var confinement: SandboxConfinement

    static func read(_ path: String) -> ContainerRecord? {
        guard let bytes = (try? AtomicFile.read(path, limit: 65_536)) ?? nil else { return nil }
        return try? JSONDecoder().decode(ContainerRecord.self, from: Data(bytes))
    }
}
