import FoundationEssentials
import MeshIdentity
import MeshNode
import Sandboxes

// What two peers say to each other during a move, inside their end-to-end session. The giving peer asks, the
// taking one answers; whether it may is decided by the taker (``IncomingMoves``).

/// Offers an agent; the taker makes room and a key for it.
struct OfferMove: PeerOperation {
    static let name = "move.offer"
    static let access = OperationAccess.paired

    let id: String
    let spec: SandboxSpec
    let lineage: DID
    /// The agent's present key, which the new one succeeds.
    let agentKey: PublicKey
    /// The epoch that the move will write.
    let epoch: Int
    /// About how much is coming, in bytes.
    let workspaceBytes: Int

    struct Answer: Codable, Sendable {
        /// The agent's key at its new home, and its word that it follows the old one.
        let newKey: PublicKey
        let timestamp: String
        let proof: WireBytes
        /// How chunks may come without the relay; nil where the taker knows no address of its own.
        var direct: DirectWay?
    }
}

/// Asks whether an offer would be taken; nothing is reserved.
struct AssessMove: PeerOperation {
    static let name = "move.assess"
    static let access = OperationAccess.paired

    let offer: OfferMove

    struct Answer: Codable, Sendable {
        /// Whether an older copy of the agent is here.
        let hasOlderCopy: Bool
    }
}

/// A piece of the encoded manifest of the workspace; a move sends one manifest a round.
struct SendManifest: PeerOperation {
    static let name = "move.manifest"
    static let access = OperationAccess.paired
    static let patience = 120

    let id: String
    /// Counts the manifests of this move from 1.
    let round: Int
    let offset: Int
    let isLast: Bool
    /// Whether it is the difference to the manifest of the round before (``ManifestDifference``); nil means no.
    var isDifference: Bool?
    let data: WireBytes

    struct Answer: Codable, Sendable {
        /// Chunks the taker lacks, known with the last piece.
        let missingChunks: Int
    }
}

/// Asks which chunks of the newest manifest the taker lacks.
struct ListMissing: PeerOperation {
    static let name = "move.missing"
    static let access = OperationAccess.paired

    let id: String
    let limit: Int

    struct Answer: Codable, Sendable {
        /// BLAKE2b-256 each, one after the other.
        let chunks: WireBytes
    }
}

/// Chunks of the workspace.
struct SendChunks: PeerOperation {
    static let name = "move.chunks"
    static let access = OperationAccess.paired
    static let patience = 120

    let id: String
    let chunks: [WireBytes]

    typealias Answer = Done
}

/// What the agent knows that its peer keeps for it. It goes inside the session of the two peers, before the freeze: while an
/// agent moves nobody changes it.
struct SendCredentials: PeerOperation {
    static let name = "move.credentials"
    static let access = OperationAccess.paired

    let id: String
    /// All of them, by name.
    let credentials: [String: WireBytes]

    typealias Answer = Done
}

/// The agent's record of decisions, a piece of it at a time, in the order of its rows. Without a piece it asks where the
/// taker's own record ends, so that only what follows is sent.
struct SendAudit: PeerOperation {
    static let name = "move.audit"
    static let access = OperationAccess.paired

    /// Rows in one piece; each is at most a few hundred bytes, and its head as much again.
    static let pieceRows = 64

    let id: String
    var piece: AuditSegment?
    /// Whether the piece is the last; it then ends with the giver's signature.
    var isLast = false

    struct Answer: Codable, Sendable {
        /// Where the taker's record ends.
        let end: AgentAudit.End
    }
}

/// Builds the tree of the newest manifest and proves its root.
struct BuildTree: PeerOperation {
    static let name = "move.build"
    static let access = OperationAccess.paired
    static let patience = 300

    let id: String
    /// With the last, frozen manifest: what else makes the agent whole. From here on the taker keeps the copy
    /// until the registry or the giver has spoken.
    let state: MovedState?
    /// A small last difference, which spares the frozen agent the round trips of manifest and chunks.
    let difference: Difference?

    /// What changed since the manifest of the round before, with the chunks that the taker still lacks for it.
    struct Difference: Codable, Sendable {
        /// As in ``SendManifest``.
        let round: Int
        /// A ``ManifestDifference``.
        let changes: WireBytes
        let chunks: [WireBytes]
    }

    struct Answer: Codable, Sendable {
        /// The Merkle root of the tree as read back from the disk.
        let root: String
        /// Where the taker's time went, in milliseconds.
        var steps: [String: Double]?
    }
}

/// What moves beside the workspace.
struct MovedState: Codable, Sendable {
    /// Clients keep their token.
    let gatewayToken: String
    /// The digest the agent gave when it was frozen.
    let digest: String
    let createdAt: Date
    let formerHomes: [DID]

    /// Former homes a record keeps, the latest ones.
    static let maximumFormerHomes = 64

    /// Whether a taker may keep what a stranger could have written; the token becomes a file and a password.
    var isSane: Bool {
        (16...256).contains(gatewayToken.utf8.count)
            && gatewayToken.utf8.allSatisfy { (0x21...0x7e).contains($0) }
            && digest.utf8.count <= 128 && formerHomes.count <= Self.maximumFormerHomes
    }
}

/// The home record names the taker: it starts the agent.
struct CommitMove: PeerOperation {
    static let name = "move.commit"
    static let access = OperationAccess.paired
    static let patience = 60

    let id: String

    struct Answer: Codable, Sendable {
        /// The digest the agent gives after its start, before any request; empty for one that has none.
        let digest: String
        /// Where the taker's time went, in milliseconds.
        var steps: [String: Double]?
    }
}

/// The move is off; the taker forgets its copy.
struct CancelMove: PeerOperation {
    static let name = "move.cancel"
    static let access = OperationAccess.paired

    let id: String

    typealias Answer = Done
}

/// A taker that waits asks its giver how the move stands.
struct AskFate: PeerOperation {
    static let name = "move.fate"
    static let access = OperationAccess.paired
    static let patience = 10

    let id: String

    struct Answer: Codable, Sendable {
        /// Nil when the giver knows no such move.
        let phase: HandoffProgress.Phase?
    }
}

/// Asks the agent's home to give it to the caller (`kars handoff <name> --to local`).
struct RequestMove: PeerOperation {
    static let name = "move.request"
    static let access = OperationAccess.paired
    static let patience = 60

    let lineage: DID

    typealias Answer = HandoffProgress
}

/// How a move that a peer asked for stands at the giver.
struct RequestedMoveStatus: PeerOperation {
    static let name = "move.requested"
    static let access = OperationAccess.paired

    let lineage: DID

    typealias Answer = HandoffProgress
}

/// Aborts a move that the caller asked for.
struct AbortRequestedMove: PeerOperation {
    static let name = "move.abort"
    static let access = OperationAccess.paired
    static let patience = 60

    let lineage: DID

    typealias Answer = HandoffProgress
}
