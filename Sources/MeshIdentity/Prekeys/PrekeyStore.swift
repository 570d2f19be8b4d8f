import FoundationEssentials

/// The private halves of an agent's prekeys.
///
/// A value: its owner seals and stores ``serialized()`` after every change and before acting on it, so that a
/// one-time prekey is never used twice, not even after a crash.
public struct PrekeyStore: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    /// Signed prekeys are replaced weekly and honoured for 14 days after that (AgentMesh wire §7), in
    /// seconds.
    public static let rotationInterval: Double = 7 * 86_400
    public static let grace: Double = 14 * 86_400
    /// A registry that holds fewer than this many is refilled.
    public static let refillBelow = 5
    /// What ``refill(to:)`` fills to.
    public static let standardCount = 20

    /// Most one-time prekeys that are kept. Those that a registry handed out and nobody used would pile up
    /// otherwise; the oldest go first.
    public static let maximumKept = 200

    struct Signed: Sendable, Equatable {
        let id: Int
        let pair: X25519KeyPair
        let made: Date
    }

    var current: Signed
    var previous: Signed?
    /// When the previous one was replaced.
    var replacedAt: Date?
    private var oneTime: [Int: X25519KeyPair] = [:]
    private var nextID = 1

    /// A first signed prekey and twenty one-time prekeys.
    public static func make(identity: Identity, now: Date) -> PrekeyStore {
        var store = PrekeyStore(current: Signed(id: 1, pair: .generate(), made: now))
        store.refill()
        return store
    }

    init(current: Signed, oneTime: [Int: X25519KeyPair] = [:]) {
        self.current = current
        self.oneTime = oneTime
        nextID = max(current.id, oneTime.keys.max() ?? 0) + 1
    }

    /// Without keys, also when a debugger or a test dumps it.
    public var description: String { "prekey store with \(oneTime.count) one-time prekeys" }
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// One-time prekeys that have not been used, published or not.
    public var oneTimeCount: Int { oneTime.count }

    /// Makes one-time prekeys until there are `count`.
    ///
    /// - Returns: the new ones, to be uploaded.
    @discardableResult
    public mutating func refill(to count: Int = standardCount) -> [OneTimePrekey] {
        var made: [OneTimePrekey] = []
        while oneTime.count < min(count, Self.maximumKept) { made.append(addOneTime()) }
        return made
    }

    /// Makes `count` one-time prekeys whatever there is: where a registry handed out keys that nobody used.
    public mutating func addOneTime(count: Int) -> [OneTimePrekey] {
        (0..<count).map { _ in addOneTime() }
    }

    private mutating func addOneTime() -> OneTimePrekey {
        let pair = X25519KeyPair.generate()
        defer { nextID += 1 }
        oneTime[nextID] = pair
        if oneTime.count > Self.maximumKept, let oldest = oneTime.keys.min() { oneTime[oldest] = nil }
        return OneTimePrekey(keyID: nextID, publicKey: pair.publicKey)
    }

    /// Replaces the signed prekey after a week and forgets the previous one after two more.
    ///
    /// - Returns: whether anything changed; then store, and upload.
    public mutating func rotateSignedPreKeyIfDue(identity: Identity, now: Date) -> Bool {
        var changed = false
        if let replacedAt, now.timeIntervalSince(replacedAt) > Self.grace {
            previous = nil
            self.replacedAt = nil
            changed = true
        }
        if now.timeIntervalSince(current.made) >= Self.rotationInterval {
            previous = current
            replacedAt = now
            current = Signed(id: nextID, pair: .generate(), made: now)
            nextID += 1
            changed = true
        }
        return changed
    }

    /// Everything to publish: the signed prekey, and all unused one-time prekeys or only `oneTime`.
    public func upload(identity: Identity, oneTime added: [OneTimePrekey]? = nil) -> PrekeyUpload {
        let all = oneTime.sorted { $0.key < $1.key }.map {
            OneTimePrekey(keyID: $0.key, publicKey: $0.value.publicKey)
        }
        return PrekeyUpload(
            identityKey: identity.x25519().publicKey, identityKeyEd: identity.publicKey.bytes,
            signedPreKey: SignedPrekey(
                keyID: current.id, publicKey: current.pair.publicKey,
                signature: identity.sign(current.pair.publicKey)),
            oneTimePreKeys: added ?? all)
    }

    /// A one-time pair, which is forgotten by this.
    mutating func takeOneTime(id: Int) -> X25519KeyPair? { oneTime.removeValue(forKey: id) }
    func oneTimePair(id: Int) -> X25519KeyPair? { oneTime[id] }

    /// The signed pairs an initiator may have taken, the current one first.
    var signedPairs: [X25519KeyPair] { [current.pair] + (previous.map { [$0.pair] } ?? []) }
}

extension PrekeyStore: Codable {
    /// The stored form, in UTF-8 JSON. It holds keys: store it sealed.
    public func serialized() -> [UInt8] { JSONCoding.encode(self) }

    /// Reads a stored form of at most 1 MiB.
    public init(serialized bytes: [UInt8]) throws(SessionError) {
        guard bytes.count <= 1 << 20 else { throw .damaged("\(bytes.count) bytes") }
        do {
            self = try JSONCoding.decode(PrekeyStore.self, from: bytes)
        } catch {
            throw .damaged(JSONCoding.reason(of: error))
        }
    }

    private enum CodingKeys: String, CodingKey {
        case version, current, previous
        case replacedAt = "replaced_at"
        case oneTime = "one_time"
        case nextID = "next_id"
    }

    private struct StoredPair: Codable {
        let id: Int
        let privateKey: String
        let made: String?

        private enum CodingKeys: String, CodingKey {
            case id, made
            case privateKey = "private_key"
        }

        func pair() throws -> X25519KeyPair {
            guard let bytes = Hex.decode(privateKey), let pair = X25519KeyPair(privateKey: bytes) else {
                throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "prekey \(id)"))
            }
            return pair
        }
        func signed() throws -> Signed {
            guard let made, let time = MeshTimestamp.parse(made) else {
                throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "prekey \(id)"))
            }
            return Signed(id: id, pair: try pair(), made: time)
        }
        init(_ signed: Signed) {
            self.init(id: signed.id, pair: signed.pair, made: MeshTimestamp.format(signed.made))
        }
        init(id: Int, pair: X25519KeyPair, made: String? = nil) {
            self.id = id
            self.made = made
            privateKey = Hex.encode(pair.privateKey)
        }
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        guard try object.decode(Int.self, forKey: .version) == 1 else {
            throw DecodingError.dataCorruptedError(forKey: .version, in: object, debugDescription: "not 1")
        }
        current = try object.decode(StoredPair.self, forKey: .current).signed()
        previous = try object.decodeIfPresent(StoredPair.self, forKey: .previous)?.signed()
        if let text = try object.decodeIfPresent(String.self, forKey: .replacedAt) {
            guard let time = MeshTimestamp.parse(text) else {
                throw DecodingError.dataCorruptedError(
                    forKey: .replacedAt, in: object, debugDescription: "not a time")
            }
            replacedAt = time
        }
        for stored in try object.decode([StoredPair].self, forKey: .oneTime) {
            oneTime[stored.id] = try stored.pair()
        }
        let highest = max(current.id, previous?.id ?? 0, oneTime.keys.max() ?? 0)
        nextID = try object.decode(Int.self, forKey: .nextID)
        guard nextID > highest, nextID < Int(Int32.max) else {
            throw DecodingError.dataCorruptedError(
                forKey: .nextID, in: object, debugDescription: "used before")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(1, forKey: .version)
        try object.encode(StoredPair(current), forKey: .current)
        try object.encodeIfPresent(previous.map(StoredPair.init(_:)), forKey: .previous)
        try object.encodeIfPresent(replacedAt.map(MeshTimestamp.format), forKey: .replacedAt)
        try object.encode(
            oneTime.sorted { $0.key < $1.key }.map { StoredPair(id: $0.key, pair: $0.value) },
            forKey: .oneTime)
        try object.encode(nextID, forKey: .nextID)
    }
}
