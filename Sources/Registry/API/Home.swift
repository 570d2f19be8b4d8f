import FoundationEssentials
import MeshIdentity
import Transport

/// Where an agent lives: one home, moved by compare-and-set (design decision 4).
///
/// A write needs no `Authorization` header, its body is signed; and no replay check, an epoch is written once.
extension RegistryAPI {
    func home(of did: String) async throws -> HTTPResponse {
        guard let did = try? DID(parsing: did), let lineage = try await store.lineage(of: did) else {
            throw Refusal.missing("no home is recorded for this agent")
        }
        return .json(lineage.record)
    }

    func homeHistory(of did: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        let (limit, offset) = try page(of: request)
        guard let did = try? DID(parsing: did),
            let history = try await store.homeHistory(of: did, limit: limit, offset: offset)
        else { throw Refusal.missing("no home is recorded for this agent") }
        return .json(history)
    }

    func move(_ text: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        guard let did = try? DID(parsing: text) else { throw Refusal.missing("agent not found") }
        let update = try body(HomeUpdate.self, of: request)
        let lineage = try await store.lineage(of: did)
        // Without a lineage the agent itself starts one; with one it need not be registered any more.
        let rootKey: PublicKey
        if let lineage { rootKey = lineage.rootKey } else { rootKey = try await registered(text).key }
        return try await commit(from: lineage, rootKey: rootKey) { lineage throws(Refusal) in
            try HomeDecision.make(update, rootKey: rootKey, lineage: lineage, now: now())
        }
    }

    /// A new key for an agent that is its own home, signed by the old key and the new one.
    func succeed(_ request: HTTPRequest) async throws -> HTTPResponse {
        let certificate = try body(SuccessionCertificate.self, of: request)
        let old = certificate.oldKey.did
        let lineage = try await store.lineage(of: old)
        if lineage == nil { _ = try await registered(old.text) }
        let rootKey = lineage?.rootKey ?? certificate.oldKey
        return try await commit(from: lineage, rootKey: rootKey) { lineage throws(Refusal) in
            try HomeDecision.make(certificate, rootKey: rootKey, lineage: lineage)
        }
    }

    /// Writes what is decided on the lineage that was read; decides again where another write came between.
    private func commit(
        from lineage: Lineage?, rootKey: PublicKey, _ decide: (Lineage?) throws(Refusal) -> HomeDecision
    ) async throws -> HTTPResponse {
        let write: HomeWrite
        switch try decide(lineage) {
        case .alreadyWritten(let record): return .json(record)
        case .write(let verified):
            write = verified
            try await refuseRevoked(write, signer: lineage?.homeKey ?? rootKey)
        case .late:
            counts.homeConflicts.add()
            throw conflict(present: lineage?.record)
        }
        switch try await store.write(write, now: now(), keeping: limits.maximumHomesKept) {
        case .written(let record):
            counts.homeMoves.add()
            logger.info(
                "home written", ["agent": record.agent, "did": record.did, "home": record.home, "epoch": record.epoch])
            return .json(record)
        case .conflict:
            // An exact twin of this write may have been the first; then this one reads as its repetition.
            let present = try await store.lineage(of: rootKey.did)
            if case .alreadyWritten(let record) = try? decide(present) { return .json(record) }
            counts.homeConflicts.add()
            throw conflict(present: present?.record)
        case .homeNotRegistered where write.succession?.newKey.did == write.home:
            throw Refusal.unacceptable("the successor is not a registered agent")
        case .homeNotRegistered: throw Refusal.unacceptable("home is not a registered agent")
        case .successorNotRegistered: throw Refusal.unacceptable("the successor is not a registered agent")
        case .successorTaken:
            throw Refusal.unacceptable("the successor's key belongs to an agent with a home already")
        }
    }

    /// A revoked key gives no agent away, takes none in and succeeds none.
    private func refuseRevoked(_ write: HomeWrite, signer: PublicKey) async throws {
        if try await store.agent(signer.did)?.revocation != nil {
            throw Refusal.unproven("the key that signed is revoked")
        }
        for did in [write.home] + (write.succession.map { [$0.newKey.did] } ?? []) {
            guard try await store.agent(did)?.revocation == nil else {
                throw Refusal.unacceptable("the key of \(did) is revoked")
            }
        }
    }

    private func conflict(present: HomeRecord?) -> Refusal {
        let next = (present?.epoch ?? 0) + 1
        return Refusal(status: 409, detail: "another write was first; the next epoch is \(next)", home: present)
    }
}
