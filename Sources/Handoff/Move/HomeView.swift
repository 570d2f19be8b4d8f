import MeshIdentity

/// An agent's home record as one move sees it.
enum HomeView: Sendable, Equatable {
    /// The giver is the home and the move's epoch is not written.
    case before
    /// The move's own write: the taker is the home, with the key made for this move.
    case moved
    /// The giver stayed the home beyond the move's epoch: the move can never be written.
    case stayed
    /// A later epoch names a home other than the giver.
    case movedOn
    /// The move's epoch names neither.
    case elsewhere
    /// There is no record, or one older than this move knows: the registry has lost something.
    case unclear

    /// - Parameters:
    ///   - epoch: what the move writes.
    ///   - isSuccessor: whether the agent's present DID is the one made for this move.
    init(
        recordEpoch: Int, epoch: Int, isAtGiver: Bool, isAtTaker: Bool, isSuccessor: Bool
    ) {
        if recordEpoch < epoch {
            self = isAtGiver ? .before : .unclear
        } else if isAtGiver {
            self = .stayed
        } else if recordEpoch > epoch {
            self = .movedOn
        } else {
            self = isAtTaker && isSuccessor ? .moved : .elsewhere
        }
    }

    init(_ record: HomeRecord?, epoch: Int, giver: DID, taker: DID, newAgent: DID?) {
        guard let record, let home = try? DID(parsing: record.home), let did = try? DID(parsing: record.did) else {
            self = .unclear
            return
        }
        self.init(
            recordEpoch: record.epoch, epoch: epoch, isAtGiver: home == giver, isAtTaker: home == taker,
            isSuccessor: did == newAgent)
    }
}
