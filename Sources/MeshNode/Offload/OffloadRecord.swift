import FoundationEssentials
import MeshIdentity

/// What an offload wants of the agent that works on it.
public struct OffloadPreferences: Codable, Sendable, Equatable {
    /// The model's name at its provider; nil leaves it to the peer.
    public var model: String?
    /// Most model tokens it may spend; nil leaves it to the peer.
    public var maximumTokens: Int?
    /// When it is to be over, in seconds from its acceptance.
    public var timeout: Int

    public init(model: String? = nil, maximumTokens: Int? = nil, timeout: Int) {
        self.model = model
        self.maximumTokens = maximumTokens
        self.timeout = timeout
    }
}

/// Tokens as an agent reports them.
public struct OffloadTokens: Codable, Sendable, Equatable {
    public var prompt: Int
    public var completion: Int
    public var total: Int { prompt + completion }

    /// Nil for numbers that make no sense.
    public init?(prompt: Int, completion: Int) {
        let plausible = 0...1_000_000_000_000
        guard plausible.contains(prompt), plausible.contains(completion) else { return nil }
        self.prompt = prompt
        self.completion = completion
    }

    private enum CodingKeys: CodingKey { case prompt, completion }

    /// Of another peer, or of an agent: numbers without sense are refused.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let read = OffloadTokens(
            prompt: try values.decode(Int.self, forKey: .prompt),
            completion: try values.decode(Int.self, forKey: .completion))
        guard let read else {
            throw DecodingError.dataCorruptedError(forKey: .prompt, in: values, debugDescription: "no number of tokens")
        }
        self = read
    }
}

/// What an agent made of its task.
public struct OffloadOutcome: Codable, Sendable, Equatable {
    /// Its final answer.
    public var summary: String
    /// The answer was longer than is carried.
    public var isCut: Bool
    /// Nil for an agent that reports none.
    public var tokens: OffloadTokens?
    /// From the acceptance to the end.
    public var seconds: Int
    /// The encoded manifest of the files that it left.
    public var files: WireBytes

    public init(summary: String, isCut: Bool, tokens: OffloadTokens?, seconds: Int, files: WireBytes) {
        self.summary = summary
        self.isCut = isCut
        self.tokens = tokens
        self.seconds = seconds
        self.files = files
    }
}

/// One side's record of an offload, on disk before anyone is told of what it says.
public struct OffloadRecord: Codable, Sendable, Equatable {
    public enum Role: String, Codable, Sendable {
        /// This peer works for another.
        case served
        /// Another peer works for this one.
        case asked
    }

    /// What names an offload on this peer: another peer may use the same id for one of its own.
    public struct Key: Hashable, Sendable {
        public let role: Role
        public let peer: PeerIdentity
        public let id: String

        public init(role: Role, peer: PeerIdentity, id: String) {
            self.role = role
            self.peer = peer
            self.id = id
        }

        /// The name of its sealed row.
        var sealName: String { "offload:\(role.rawValue):\(peer.did.text):\(id)" }
    }

    public let role: Role
    public let peer: PeerIdentity
    public let id: String
    /// The other peer's name as known here, and the pairing's at the time.
    public var peerName: String
    public var pairing: String
    public var task: String
    public var preferences: OffloadPreferences
    /// The encoded manifest of the files that come with it; empty once it is over.
    public var files: WireBytes
    /// SHA-256 of the request, hex: a repeat says the same.
    public var digest: String
    /// Tokens it may spend.
    public var allowance = 0
    public var phase = OffloadPhase.validating
    /// Why it failed, or what else is to be said.
    public var message: String?
    public var createdAt: Date
    public var updatedAt: Date
    public var deadline: Date
    /// The agent has heard the task, so that it may have spent tokens.
    public var hasBegun = false
    public var outcome: OffloadOutcome?
    /// Counts the changes.
    public var revision = 0
    /// Of an asked one: the peer has taken it; the peer need not be told of its end any more; and the revision there.
    public var isAccepted = false
    public var isSettled = false
    public var seenRevision = -1
    /// Names of files at each side, as shown.
    public var fileCount = 0
    public var fileBytes = 0

    public init(
        role: Role, peer: PeerIdentity, id: String, peerName: String, pairing: String, task: String,
        preferences: OffloadPreferences, files: WireBytes, digest: String, now: Date = Date()
    ) {
        self.role = role
        self.peer = peer
        self.id = id
        self.peerName = peerName
        self.pairing = pairing
        self.task = task
        self.preferences = preferences
        self.files = files
        self.digest = digest
        createdAt = now
        updatedAt = now
        deadline = now.addingTimeInterval(TimeInterval(preferences.timeout))
    }

    public var key: Key { Key(role: role, peer: peer, id: id) }

    /// Where the work is done, by the first eight characters of the id.
    public var sandbox: String { "offload-\(id.prefix(8))" }

    /// A served one has a slot until what it made is collected.
    public var holdsSlot: Bool { role == .served && phase != .failed && phase != .cleaned }

    /// Tokens that count against the budget: what the agent said, or all that it was allowed when it said nothing.
    public var spent: Int { outcome?.tokens?.total ?? (hasBegun ? allowance : 0) }

    /// Whether an id can name an offload and, in part, a sandbox: 8 to 64 of `[a-z0-9-]`, no dash among the first eight.
    public static func isID(_ id: String) -> Bool {
        let isPlain: (UInt8) -> Bool = { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }
        return (8...64).contains(id.utf8.count) && id.utf8.prefix(8).allSatisfy(isPlain)
            && id.utf8.allSatisfy { isPlain($0) || $0 == UInt8(ascii: "-") }
    }
}
