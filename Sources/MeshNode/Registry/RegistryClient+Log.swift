import FoundationEssentials
import MeshIdentity
import Transport

/// Home records that are believed only when the registry's log holds them too, so that no registry can tell one peer
/// another home than it tells the rest.
extension RegistryClient {
    /// Where an agent lives; nil when nobody has said so yet (design decision 4).
    ///
    /// - Throws: a refused failure for a record that the log does not hold, or a log that does not continue what was
    ///   seen of it.
    public func home(of agent: DID) async throws -> HomeRecord? {
        guard let log else { return try await homeRecord(of: agent) }
        // A move between the two answers makes them differ once, hardly twice.
        for attempt in 1...3 {
            let record = try await homeRecord(of: agent)
            let proof = try await logProof(about: agent)
            guard let proof else {
                guard record != nil else { return nil }
                if attempt < 3 { continue }
                throw disbelief("its log holds nothing about the home of \(agent)")
            }
            let binding: KeyBinding
            do {
                binding = try proof.verify(about: agent)
            } catch {
                throw disbelief("\(error)")
            }
            try await log.believe(proof.head) { try await consistency(from: $0, to: $1) }
            guard let residence = binding.residence else { throw disbelief("its log gives no home of \(agent)") }
            if let record, record.agent == residence.agent, record.epoch == residence.epoch,
                record.did == binding.did, Self.isSame(record.home, residence.home)
            {
                return record
            }
        }
        throw disbelief("the home it names for \(agent) is not the one in its log")
    }

    /// The registry's key, as its log tells it: what was seen first of this registry counts.
    public func signingKey() async throws -> PublicKey {
        let head: LogHead = try await fetch("/v1/log/head", "reading the registry's log")
        guard let log else { throw OperationFailure(.failed, "nothing is remembered of registries here") }
        try await log.believe(head) { try await consistency(from: $0, to: $1) }
        return head.key
    }

    private static func isSame(_ one: String, _ other: String) -> Bool {
        guard let one = try? DID(parsing: one), let other = try? DID(parsing: other) else { return false }
        return one.canonical == other.canonical
    }

    private func consistency(from: Int, to: Int) async throws -> LogConsistency {
        try await fetch("/v1/log/consistency?from=\(from)&to=\(to)", "reading the registry's log")
    }

    private func disbelief(_ reason: String) -> OperationFailure {
        OperationFailure(.refused, "the registry \(url) is not to be believed: \(reason)")
    }
}
