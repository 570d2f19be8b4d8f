import MeshIdentity

/// The keys one agent had, first to present, and where it lives.
struct Lineage: Sendable, Equatable {
    /// The first key; signs epoch 1.
    let rootKey: PublicKey
    let record: HomeRecord
    /// Key of the present home; signs the next epoch. Kept here, so that a home that left the registry can still give
    /// its agents away.
    let homeKey: PublicKey
    /// Key that signed the present epoch.
    let signerKey: PublicKey
    /// The agent's DID in the epoch before; the root's at epoch 1.
    let previousDID: String
}

/// A verified write of a home record, carried out only if the epoch before it is still the present one.
struct HomeWrite: Sendable, Equatable {
    let rootKey: PublicKey
    let epoch: Int
    let home: DID
    /// As it was signed; the log keeps it.
    let word: Word

    /// What the write rests on.
    enum Word: Sendable, Equatable {
        /// The home that gives the agent away.
        case move(HomeUpdate)
        /// Both keys of an agent that is its own home.
        case succession(SuccessionCertificate)
    }

    var succession: SuccessionCertificate? {
        switch word {
        case .move(let update): update.succession
        case .succession(let certificate): certificate
        }
    }
}

/// What became of a ``HomeWrite``.
enum HomeWriteOutcome: Sendable, Equatable {
    case written(HomeRecord)
    /// Another write was first.
    case conflict
    case homeNotRegistered
    case successorNotRegistered
    /// The new key is part of a lineage already.
    case successorTaken
}
