import FoundationEssentials
import Storage
import Synchronization

/// One run of a pod's agent.
final class PodRun: LivingSandbox {
    let id: String
    /// Of another namespace of processes, so this one has no number for it.
    let pid: Int32 = 0
    private let link: AttendantLink
    private let frozen: Mutex<Bool>

    init(id: String, link: AttendantLink, isFrozen: Bool = false) {
        self.id = id
        self.link = link
        frozen = Mutex(isFrozen)
    }

    var isFrozen: Bool { frozen.withLock { $0 } }
    var hasEnded: Bool { !link.isAlive(id) }

    func freeze() async throws(SandboxError) {
        guard !isFrozen else { return }
        try await link.ask(AttendantRequest(number: 0, action: .freeze, run: id))
        frozen.withLock { $0 = true }
    }

    func thaw() async throws(SandboxError) {
        guard isFrozen else { return }
        try await link.ask(AttendantRequest(number: 0, action: .thaw, run: id))
        frozen.withLock { $0 = false }
    }

    /// One that ended, or whose container did, needs no signal any more.
    func signal(_ number: Int32) async throws(SandboxError) {
        do throws(SandboxError) {
            try await link.ask(AttendantRequest(number: 0, action: .kill, run: id, signal: number))
        } catch { if link.isAlive(id) { throw error } }
    }

    func end() async -> Int32? { await link.end(of: id) }
}

/// What a node notes of a run, so that a later node tells it from one it does not know.
struct PodRunRecord: Codable, Sendable {
    var run: String
    var confinement: SandboxConfinement

    static func read(_ path: String) -> PodRunRecord? {
        guard let bytes = (try? AtomicFile.read(path, limit: 65_536)) ?? nil else { return nil }
        return try? JSONDecoder().decode(PodRunRecord.self, from: Data(bytes))
    }
}
