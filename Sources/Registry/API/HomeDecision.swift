import FoundationEssentials
import MeshIdentity

/// What is to be done with a home update, decided on the lineage as it stands.
enum HomeDecision: Equatable {
    case write(HomeWrite)
    /// The present epoch is this very write: its caller lost the answer and asks again.
    case alreadyWritten(HomeRecord)
    /// The epoch is not the next one.
    case late

    /// Checks who signed what.
    ///
    /// The result holds as long as the lineage's epoch does: rows of past epochs never change.
    static func make(
        _ update: HomeUpdate, rootKey: PublicKey, lineage: Lineage?, now: Date
    ) throws(Refusal) -> HomeDecision {
        guard update.epoch >= 1 else { throw .malformed("epoch is a number from 1") }
        let home: DID
        do { home = try DID(parsing: update.home) } catch { throw .malformed("home is neither a DID nor an AMID") }
        let present = lineage?.record
        if let lineage, update.epoch == lineage.record.epoch {
            guard isRepetition(update, home: home, of: lineage) else { return .late }
            try verify(update, agent: rootKey.did, signer: lineage.signerKey, now: now)
            return .alreadyWritten(lineage.record)
        }
        guard update.epoch == (present?.epoch ?? 0) + 1 else { return .late }
        try verify(update, agent: rootKey.did, signer: lineage?.homeKey ?? rootKey, now: now)
        if let succession = update.succession {
            guard let present else {
                throw .unacceptable("the first home of an agent brings no succession")
            }
            try verify(succession, follows: present)
        }
        return .write(
            HomeWrite(rootKey: rootKey, epoch: update.epoch, home: home, word: .move(update)))
    }

    /// The same for a key that follows another one without a move, which is for agents that are their own home: those
    /// that never named one, and those that named themselves.
    ///
    /// Another home would learn nothing of it and give the agent away under its old key, so there it is a part of the
    /// home's own update.
    static func make(
        _ succession: SuccessionCertificate, rootKey: PublicKey, lineage: Lineage?
    ) throws(Refusal) -> HomeDecision {
        do {
            try succession.verify()
        } catch {
            switch error {
            case .missing, .malformed: throw .malformed("\(error)")
            default: throw .unproven("succession refused: \(error)")
            }
        }
        guard let epoch = Int(exactly: succession.epoch), epoch >= 1 else {
            throw .malformed("epoch is a number from 1")
        }
        let old = succession.oldKey.did.canonical, new = succession.newKey.did
        if let lineage, epoch == lineage.record.epoch, lineage.previousDID == old, lineage.record.did == new.canonical,
            lineage.record.home == new.canonical
        {
            return .alreadyWritten(lineage.record)
        }
        guard epoch == (lineage?.record.epoch ?? 0) + 1 else { return .late }
        guard old == lineage?.record.did ?? rootKey.did.canonical else {
            throw .unacceptable("succession refused: old_did is not the agent's present DID")
        }
        if let home = lineage?.record.home, home != old {
            throw Refusal(
                status: 409, detail: "the agent lives at \(home), whose home update brings its succession",
                home: lineage?.record)
        }
        return .write(HomeWrite(rootKey: rootKey, epoch: epoch, home: new, word: .succession(succession)))
    }

    private static func isRepetition(_ update: HomeUpdate, home: DID, of lineage: Lineage) -> Bool {
        let successor = update.succession?.newKey.did.canonical ?? lineage.previousDID
        return home.canonical == lineage.record.home && successor == lineage.record.did
    }

    private static func verify(
        _ update: HomeUpdate, agent: DID, signer: PublicKey, now: Date
    ) throws(Refusal) {
        do {
            try update.verify(agent: agent, signer: signer, now: now)
        } catch {
            switch error {
            case .missing, .malformed: throw .malformed("\(error)")
            case .badSignature:
                throw .unproven(
                    update.epoch == 1
                        ? "signature is not by the agent's first key over this update"
                        : "signature is not by the present home's key over this update")
            default: throw .unproven("signature refused: \(error)")
            }
        }
    }

    private static func verify(
        _ succession: SuccessionCertificate, follows present: HomeRecord
    ) throws(Refusal) {
        do {
            try succession.verify()
        } catch {
            throw .unacceptable("succession refused: \(error)")
        }
        guard succession.oldKey.did.canonical == present.did else {
            throw .unacceptable("succession refused: old_did is not the agent's present DID")
        }
        guard Int(exactly: succession.epoch) == present.epoch + 1 else {
            throw .unacceptable("succession refused: its epoch is not that of this write")
        }
    }
}
