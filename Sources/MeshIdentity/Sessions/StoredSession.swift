/// A session as JSON has it.
struct StoredSession: Decodable {
    let peer: String
    let associatedData: [UInt8]
    let state: RatchetState
    let alternate: RatchetState?

    private enum CodingKeys: String, CodingKey {
        case peer, alternate
        case associatedData = "associated_data"
    }

    init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        peer = try object.decodeText(.peer, limit: 256)
        guard let data = Hex.decode(try object.decodeText(.associatedData, limit: 2048)),
            Self.binds(data, to: peer)
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .associatedData, in: object, debugDescription: "not two names and two keys")
        }
        associatedData = data
        state = try StoredState(from: decoder).state
        alternate = try object.decodeIfPresent(StoredState.self, forKey: .alternate)?.state
    }

    /// Whether the data is `<initiator>|<responder>` and two keys, with `peer` as one of the names.
    private static func binds(_ data: [UInt8], to peer: String) -> Bool {
        guard data.count > 2 * X25519.keySize,
            let text = String(validating: data.dropLast(2 * X25519.keySize), as: UTF8.self)
        else { return false }
        let names = text.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        return names.count == 2 && names.contains(peer) && names.allSatisfy { (try? DID(parsing: $0)) != nil }
    }
}

/// A ratchet state as JSON has it.
struct StoredState: Decodable {
    let state: RatchetState

    private enum CodingKeys: String, CodingKey {
        case selfPrivate = "dh_self_private"
        case selfPublic = "dh_self_public"
        case remotePublic = "dh_remote_public"
        case root = "root_key"
        case sendingChain = "chain_key_send"
        case receivingChain = "chain_key_recv"
        case sent = "send_message_number"
        case received = "recv_message_number"
        case previousSent = "previous_send_chain_length"
        case sentShort = "n_send"
        case receivedShort = "n_recv"
        case previousSentShort = "pn"
        case skippedKeys = "skipped_keys"
        case skippedOrder = "skipped_order"
    }

    init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        func bad(_ key: CodingKeys) -> DecodingError {
            .dataCorruptedError(forKey: key, in: object, debugDescription: "not as it was stored")
        }
        func key(_ name: CodingKeys) throws -> SecretBytes? {
            guard let text = try object.decodeTextIfPresent(name, limit: 64) else { return nil }
            guard let key = StoredKeys.find(text, decoder.userInfo) else { throw bad(name) }
            return key
        }
        func neededKey(_ name: CodingKeys) throws -> SecretBytes {
            guard let key = try key(name) else { throw bad(name) }
            return key
        }
        func publicKey(_ name: CodingKeys) throws -> [UInt8]? {
            try key(name)?.withUnsafeBytes { Array($0) }
        }
        func counter(_ name: CodingKeys, or short: CodingKeys) throws -> UInt32 {
            try object.decode(UInt32.self, forKey: object.contains(name) ? name : short)
        }
        guard let pair = X25519KeyPair(privateKey: try neededKey(.selfPrivate)),
            try publicKey(.selfPublic) == pair.publicKey
        else { throw bad(.selfPublic) }

        let stored = try object.decodeIfPresent([String: String].self, forKey: .skippedKeys) ?? [:]
        guard stored.count <= RatchetSession.maximumKept else { throw bad(.skippedKeys) }
        // Where another implementation stored the session, the age of its keys is not known: any order will
        // do.
        let order = try object.decodeIfPresent([String].self, forKey: .skippedOrder) ?? stored.keys.sorted()
        var skipped = SkippedKeys()
        for text in order {
            guard let position = SkippedKeys.Position(text: text), let number = stored[text],
                let messageKey = StoredKeys.find(number, decoder.userInfo)
            else { throw bad(.skippedKeys) }
            skipped.keep(messageKey, at: position, limit: RatchetSession.maximumKept)
        }
        guard skipped.count == stored.count else { throw bad(.skippedOrder) }

        state = RatchetState(
            selfPair: pair, remote: try publicKey(.remotePublic), root: try neededKey(.root),
            sendingChain: try key(.sendingChain), receivingChain: try key(.receivingChain),
            sent: try counter(.sent, or: .sentShort), received: try counter(.received, or: .receivedShort),
            previousSent: try counter(.previousSent, or: .previousSentShort), skipped: skipped)
    }
}

extension SkippedKeys.Position {
    /// Reads `<dh hex>:<n>`.
    fileprivate init?(text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let dh = Hex.decode(String(parts[0])), dh.count == 32,
            let n = UInt32(parts[1])
        else {
            return nil
        }
        self.init(dh: dh, n: n)
    }
}
