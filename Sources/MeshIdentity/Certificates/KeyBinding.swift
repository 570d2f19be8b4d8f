import FoundationEssentials

/// One thing that a registry says of a key, as its log keeps it: with what its owners signed, so that an auditor
/// needs to believe the registry nothing but the order.
public struct KeyBinding: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable {
        case registration, home, succession, revocation
    }

    /// A move, and who was allowed to make it.
    public struct Move: Codable, Sendable, Equatable {
        /// First DID of the lineage.
        public let agent: String
        /// Key of the home before; the agent's first key at epoch 1.
        public let signer: PublicKey
        /// Key of the home from now on, which signs the next move.
        public let homeKey: PublicKey
        /// As it was sent; with the certificate where the agent got a new key.
        public let update: HomeUpdate

        public init(agent: String, signer: PublicKey, homeKey: PublicKey, update: HomeUpdate) {
            self.agent = agent
            self.signer = signer
            self.homeKey = homeKey
            self.update = update
        }

        private enum CodingKeys: String, CodingKey {
            case agent, signer, update
            case homeKey = "home_key"
        }
    }

    /// A key that follows another one where the agent is its own home.
    public struct Succession: Codable, Sendable, Equatable {
        /// First DID of the lineage.
        public let agent: String
        /// As it was sent; both keys signed it.
        public let certificate: SuccessionCertificate

        public init(agent: String, certificate: SuccessionCertificate) {
            self.agent = agent
            self.certificate = certificate
        }
    }

    public let kind: Kind
    /// Whom it is about: the registered or revoked key's DID, the agent's present one after a move or succession.
    public let did: String
    /// The registered or revoked key.
    public let key: PublicKey?
    public let move: Move?
    public let succession: Succession?
    public let revocation: RevocationCertificate?
    /// By the registry's clock.
    public let recordedAt: String

    /// A key came in.
    public static func registration(of key: PublicKey, at time: Date) -> KeyBinding {
        KeyBinding(kind: .registration, did: key.did.canonical, key: key, at: time)
    }

    /// An agent moved, perhaps to a new key.
    public static func home(_ move: Move, did: DID, at time: Date) -> KeyBinding {
        KeyBinding(kind: .home, did: did.canonical, move: move, at: time)
    }

    /// An agent that is its own home got a new key.
    public static func succession(_ succession: Succession, at time: Date) -> KeyBinding {
        KeyBinding(
            kind: .succession, did: succession.certificate.newKey.did.canonical, succession: succession, at: time)
    }

    /// A key said its last word.
    public static func revocation(_ certificate: RevocationCertificate, at time: Date) -> KeyBinding {
        KeyBinding(
            kind: .revocation, did: certificate.did, key: certificate.publicKey, revocation: certificate, at: time)
    }

    private init(
        kind: Kind, did: String, key: PublicKey? = nil, move: Move? = nil, succession: Succession? = nil,
        revocation: RevocationCertificate? = nil, at time: Date
    ) {
        self.kind = kind
        self.did = did
        self.key = key
        self.move = move
        self.succession = succession
        self.revocation = revocation
        recordedAt = MeshTimestamp.format(time)
    }

    private enum CodingKeys: String, CodingKey {
        case kind, did, key, move, succession, revocation
        case recordedAt = "recorded_at"
    }

    /// The log's leaf: one line of JSON. A reader hashes the text as it came.
    public var leaf: String { String(decoding: JSONCoding.encode(self), as: UTF8.self) }

    /// Reads a leaf.
    static func read(_ leaf: String) throws(LogError) -> KeyBinding {
        guard leaf.utf8.count <= LogEntry.maximumLeafBytes else { throw .malformed("the entry is too long") }
        do {
            return try JSONCoding.decode(KeyBinding.self, from: Array(leaf.utf8))
        } catch {
            throw .malformed("the entry: \(JSONCoding.reason(of: error))")
        }
    }

    /// The DIDs it says something of, all in the form `did:mesh:`.
    public var subjects: Set<String> {
        var subjects: Set = [did]
        if let move {
            subjects.insert(move.agent)
            if let succession = move.update.succession { subjects.insert(succession.oldKey.did.canonical) }
        }
        if let succession {
            subjects.insert(succession.agent)
            subjects.insert(succession.certificate.oldKey.did.canonical)
        }
        return subjects
    }

    /// What it says of where an agent lives; nil when it says nothing of that.
    ///
    /// An agent whose key changes where it is its own home lives at its new key.
    public var residence: (agent: String, epoch: Int, home: String)? {
        if let move { return (move.agent, move.update.epoch, move.update.home) }
        guard let succession, let epoch = Int(exactly: succession.certificate.epoch) else { return nil }
        return (succession.agent, epoch, did)
    }

    /// Checks names and signatures; times are not compared, a log is read long after.
    func verify() throws(LogError) {
        do throws(ProofError) {
            switch kind {
            case .registration:
                guard let key, did == key.did.canonical else { throw .keyMismatch }
            case .home:
                guard let move else { throw .missing("move") }
                guard let time = MeshTimestamp.parse(move.update.timestamp) else { throw .timestampUnreadable }
                let agent = try ProofWindow.name(move.agent, field: "agent")
                try move.update.verify(agent: agent, signer: move.signer, now: time)
                guard move.update.epoch > 1 || agent.names(move.signer),
                    try ProofWindow.name(move.update.home, field: "home").names(move.homeKey)
                else { throw .keyMismatch }
                if let succession = move.update.succession {
                    try succession.verify()
                    guard did == succession.newKey.did.canonical else { throw .keyMismatch }
                }
            case .succession:
                guard let succession else { throw .missing("succession") }
                try succession.certificate.verify()
                _ = try ProofWindow.name(succession.agent, field: "agent")
                guard did == succession.certificate.newKey.did.canonical else { throw .keyMismatch }
            case .revocation:
                guard let revocation, did == revocation.did, key == revocation.publicKey else { throw .keyMismatch }
                guard let time = MeshTimestamp.parse(revocation.timestamp) else { throw .timestampUnreadable }
                try revocation.verify(now: time)
            }
        } catch {
            throw .badEntry("\(error)")
        }
    }
}
