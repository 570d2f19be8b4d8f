import FoundationEssentials

/// Where an agent lives, as the registry answers it (design decision 4).
///
/// The record belongs to the agent's lineage: its first key and all keys that followed it by succession.
public struct HomeRecord: Codable, Sendable, Equatable {
    /// First DID of the lineage; it never changes.
    public let agent: String
    /// The DID that the agent has now.
    public let did: String
    /// DID of the peer that runs it.
    public let home: String
    /// 1 for the first home; each move adds one.
    public let epoch: Int
    /// When the registry took the write, by its clock.
    public let updatedAt: String

    /// The registry's own; clients decode one.
    public init(agent: String, did: String, home: String, epoch: Int, updatedAt: String) {
        self.agent = agent
        self.did = did
        self.home = home
        self.epoch = epoch
        self.updatedAt = updatedAt
    }

    private enum CodingKeys: String, CodingKey {
        case agent, did, home, epoch
        case updatedAt = "updated_at"
    }
}

/// Body of `PUT /v1/agents/{did}/home`: the compare-and-set that is a handoff's commit point.
///
/// Epoch 1 creates the record and is signed by the agent's first key. Each later epoch is exactly the present one
/// plus 1 and is signed by the key of the home that gives the agent away, so nobody can take an agent.
public struct HomeUpdate: Codable, Sendable, Equatable {
    /// 1, or the present epoch plus 1.
    public let epoch: Int
    /// DID of the peer that runs the agent from this epoch on; a registered agent.
    public let home: String
    /// Within ±300 s of the registry's clock.
    public let timestamp: String
    /// Base64url Ed25519 over ``signedText(agent:epoch:home:timestamp:successor:)``.
    public let signature: String
    /// Names the agent's new key; written in the same transaction as the move, its epoch is this one's.
    public let succession: SuccessionCertificate?

    /// Signs a move.
    ///
    /// - Parameters:
    ///   - agent: the lineage's first DID, ``HomeRecord/agent``.
    ///   - signer: the agent itself at epoch 1, the present home's identity after that.
    public static func make(
        agent: DID, epoch: Int, home: DID, signer: Identity, succession: SuccessionCertificate? = nil, now: Date
    ) -> HomeUpdate {
        let timestamp = MeshTimestamp.format(now)
        let text = signedText(
            agent: agent, epoch: epoch, home: home, timestamp: timestamp, successor: succession?.newKey.did)
        return HomeUpdate(
            epoch: epoch, home: home.canonical, timestamp: timestamp,
            signature: Base64.encodeURL(signer.sign(text)), succession: succession)
    }

    /// What is signed, in UTF-8: `home:<agent>:<epoch>:<home>:<timestamp>`, and with a succession `:<new DID>`
    /// after it. All DIDs stand in the form `did:mesh:`, whatever was sent.
    ///
    /// The successor is part of it because somebody on the way could otherwise strip the certificate: the agent would
    /// move without its new key.
    public static func signedText(
        agent: DID, epoch: Int, home: DID, timestamp: String, successor: DID?
    ) -> String {
        let text = "home:\(agent.canonical):\(epoch):\(home.canonical):\(timestamp)"
        return successor.map { "\(text):\($0.canonical)" } ?? text
    }

    /// Checks time and signature; the certificate has a check of its own.
    public func verify(agent: DID, signer: PublicKey, now: Date) throws(ProofError) {
        try ProofWindow.check(timestamp, now: now)
        let text = Self.signedText(
            agent: agent, epoch: epoch, home: try ProofWindow.name(home, field: "home"), timestamp: timestamp,
            successor: succession?.newKey.did)
        guard signer.isValid(signature: try ProofWindow.signature(signature), over: Array(text.utf8)) else {
            throw .badSignature
        }
    }
}

/// Answer of `GET /v1/agents/{did}/home/history`, newest first.
public struct HomeHistory: Codable, Sendable, Equatable {
    /// One home that the agent had.
    public struct Entry: Codable, Sendable, Equatable {
        /// As in ``HomeRecord``.
        public let epoch: Int
        /// DID of the peer.
        public let home: String
        /// The agent's DID from this epoch on.
        public let did: String
        /// When the registry took the write.
        public let updatedAt: String

        /// The registry's own; clients decode one.
        public init(epoch: Int, home: String, did: String, updatedAt: String) {
            self.epoch = epoch
            self.home = home
            self.did = did
            self.updatedAt = updatedAt
        }

        private enum CodingKeys: String, CodingKey {
            case epoch, home, did
            case updatedAt = "updated_at"
        }
    }

    /// One page.
    public let history: [Entry]
    /// Entries in all, the same on every page.
    public let total: Int

    /// The registry's own; clients decode one.
    public init(history: [Entry], total: Int) {
        self.history = history
        self.total = total
    }
}
