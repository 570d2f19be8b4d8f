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

// The stored form.
extension PrekeyStore {
    /// The stored form, in UTF-8 JSON. It holds keys: store it sealed.
    public func serialized() -> SecretBytes {
        var text = SecretWriter(capacity: 1024 + oneTime.count * 128)
        text.append("{\"version\":1,\"current\":")
        text.append(current)
        if let previous {
            text.append(",\"previous\":")
            text.append(previous)
        }
        if let replacedAt {
            text.append(",\"replaced_at\":")
            text.append(Array("\"\(MeshTimestamp.format(replacedAt))\"".utf8))
        }
        text.append(",\"one_time\":[")
        for (index, entry) in oneTime.sorted(by: { $0.key < $1.key }).enumerated() {
            if index > 0 { text.append(",") }
            text.append(id: entry.key, key: entry.value.privateKey)
            text.append("}")
        }
        text.append(Array("],\"next_id\":\(nextID)}".utf8))
        return text.finish()
    }

    /// Reads a stored form of at most 1 MiB.
    public init(serialized bytes: UnsafeRawBufferPointer) throws(SessionError) {
        guard bytes.count <= 1 << 20 else { throw .damaged("\(bytes.count) bytes") }
        do {
            self = try StoredKeys.decode(Stored.self, from: bytes).store
        } catch {
            throw .damaged(JSONCoding.reason(of: error))
        }
    }

    private struct StoredPair: Decodable {
        let id: Int
        let pair: X25519KeyPair
        let made: Date?

        private enum CodingKeys: String, CodingKey {
            case id, made
            case privateKey = "private_key"
        }

        init(from decoder: any Decoder) throws {
            let object = try decoder.container(keyedBy: CodingKeys.self)
            id = try object.decode(Int.self, forKey: .id)
            guard let key = StoredKeys.find(try object.decodeText(.privateKey, limit: 64), decoder.userInfo),
                let pair = X25519KeyPair(privateKey: key)
            else {
                throw DecodingError.dataCorruptedError(
                    forKey: .privateKey, in: object, debugDescription: "prekey \(id)")
            }
            self.pair = pair
            made = try object.decodeIfPresent(String.self, forKey: .made).flatMap(MeshTimestamp.parse)
        }

        func signed() throws -> Signed {
            guard let made else {
                throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "prekey \(id)"))
            }
            return Signed(id: id, pair: pair, made: made)
        }
    }

    private struct Stored: Decodable {
        let store: PrekeyStore

        private enum CodingKeys: String, CodingKey {
            case version, current, previous
            case replacedAt = "replaced_at"
            case oneTime = "one_time"
            case nextID = "next_id"
        }

        init(from decoder: any Decoder) throws {
            let object = try decoder.container(keyedBy: CodingKeys.self)
            guard try object.decode(Int.self, forKey: .version) == 1 else {
                throw DecodingError.dataCorruptedError(forKey: .version, in: object, debugDescription: "not 1")
            }
            var store = PrekeyStore(current: try object.decode(StoredPair.self, forKey: .current).signed())
            store.previous = try object.decodeIfPresent(StoredPair.self, forKey: .previous)?.signed()
            if let text = try object.decodeIfPresent(String.self, forKey: .replacedAt) {
                guard let time = MeshTimestamp.parse(text) else {
                    throw DecodingError.dataCorruptedError(
                        forKey: .replacedAt, in: object, debugDescription: "not a time")
                }
                store.replacedAt = time
            }
            for stored in try object.decode([StoredPair].self, forKey: .oneTime) {
                store.oneTime[stored.id] = stored.pair
            }
            let highest = max(store.current.id, store.previous?.id ?? 0, store.oneTime.keys.max() ?? 0)
            store.nextID = try object.decode(Int.self, forKey: .nextID)
            guard store.nextID > highest, store.nextID < Int(Int32.max) else {
                throw DecodingError.dataCorruptedError(
                    forKey: .nextID, in: object, debugDescription: "used before")
            }
            self.store = store
        }
    }
}

extension SecretWriter {
    fileprivate mutating func append(_ signed: PrekeyStore.Signed) {
        append(id: signed.id, key: signed.pair.privateKey)
        append(Array(",\"made\":\"\(MeshTimestamp.format(signed.made))\"}".utf8))
    }

    /// A pair's object without its closing brace.
    fileprivate mutating func append(id: Int, key: SecretBytes) {
        append(Array("{\"id\":\(id),\"private_key\":".utf8))
        appendKey(key)
    }
}
