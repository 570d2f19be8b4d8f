import FoundationEssentials
import MeshIdentity
import Storage
import Transport

/// What this peer remembers of its registry's log: the registry's key, which the first head told, and the newest head
/// that continued the ones before. A registry that rewrites its past, or tells two stories, is caught by it.
///
/// The file belongs to the home folder and is shared by the node and by commands. Each replaces it whole; when two do
/// so at once an older head may stay, which is as true as the newer one.
public actor RegistryLog {
    private static let fileName = "registry-log.json"
    private static let maximumSize = 1 << 20
    /// Registries that are remembered; above it the ones in use least recently go.
    private static let maximumRegistries = 64
    /// Times a head is looked at anew because the witness grew meanwhile.
    private static let attempts = 5

    private struct Entry: Codable {
        let registry: String
        var witness: LogWitness
    }

    private let registry: String
    private let path: String
    private var witness: LogWitness?

    /// Reads what is known of a registry.
    ///
    /// - Throws: a failure for a file that cannot be read or is damaged: it is not quietly begun anew, because that
    ///   would forgive a registry everything.
    public init(registry: ServiceURL, folder: String) throws {
        self.registry = registry.description
        path = "\(folder)/\(Self.fileName)"
        witness = try Self.read(path).first { [registry = self.registry] in $0.registry == registry }?.witness
    }

    /// The registry's key, once a head of it was believed.
    public var key: PublicKey? { witness?.head.key }

    /// Believes a head that continues what was seen; the first one of a registry is believed as it is.
    ///
    /// - Parameter consistency: asks the registry for the proof between two sizes.
    /// - Throws: a refused failure for a head that does not follow, with what to do.
    public func believe(
        _ head: LogHead, consistency: @Sendable (_ from: Int, _ to: Int) async throws -> LogConsistency
    ) async throws {
        for _ in 0..<Self.attempts {
            guard let known = witness else {
                try keep(try translating { () throws(LogError) in try LogWitness(first: head) })
                return
            }
            var proof: LogConsistency?
            if head.size != known.head.size {
                proof = try await consistency(min(head.size, known.head.size), max(head.size, known.head.size))
            }
            // Others may have been believed while this one waited for its proof.
            guard witness == known else { continue }
            var next = known
            try translating { () throws(LogError) in try next.accept(head, consistency: proof) }
            if next.head.size > known.head.size { try keep(next) }
            return
        }
        throw OperationFailure(.unavailable, "the log of the registry \(registry) grows faster than it can be checked")
    }

    private func translating<Value>(_ body: () throws(LogError) -> Value) throws -> Value {
        do {
            return try body()
        } catch {
            throw OperationFailure(
                .refused, "the registry \(registry) is not to be believed: \(error)",
                hint: "ask its operator; if it was set up anew or restored from a backup, delete \(path)")
        }
    }

    private func keep(_ next: LogWitness) throws {
        var entries = try Self.read(path).filter { $0.registry != registry }
        entries.insert(Entry(registry: registry, witness: next), at: 0)
        do {
            try AtomicFile.write(PeerJSON.encode(Array(entries.prefix(Self.maximumRegistries))), to: path)
        } catch {
            throw OperationFailure(.failed, "\(path) cannot be written: \(error)")
        }
        witness = next
    }

    private static func read(_ path: String) throws -> [Entry] {
        let bytes: [UInt8]?
        do {
            bytes = try AtomicFile.read(path, limit: maximumSize)
        } catch {
            throw OperationFailure(.failed, "\(path) cannot be read: \(error)")
        }
        guard let bytes else { return [] }
        guard let entries = PeerJSON.decode([Entry].self, from: bytes) else {
            throw OperationFailure(
                .failed, "\(path) is damaged", hint: "delete it to trust the registry anew, as on a first start")
        }
        return entries
    }
}
