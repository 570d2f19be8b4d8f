/// The stored form (AgentMesh wire §4): one JSON object in hex, with `associated_data` and `peer` beside the
/// state, and `skipped_order` where the age of skipped keys matters. It holds keys: store it sealed.
extension RatchetSession {
    /// Largest stored session that is read: 2,000 skipped keys take about 430 KiB.
    static let maximumSerializedSize = 1 << 20

    /// The stored form, in UTF-8.
    public func serialized() -> SecretBytes {
        var text = SecretWriter(capacity: 1200 + state.skipped.count * 220)
        text.append("{\"associated_data\":")
        text.appendHexText(associatedData)
        text.append(",\"peer\":")
        var name: [UInt8] = []
        appendJSONString(peer, to: &name)
        text.append(name)
        text.append(",")
        state.append(to: &text)
        if let alternate {
            text.append(",\"alternate\":{")
            alternate.append(to: &text)
            text.append("}")
        }
        text.append("}")
        return text.finish()
    }

    /// Reads a stored session, with either spelling of the counters; lengths are checked.
    public init(serialized bytes: UnsafeRawBufferPointer) throws(SessionError) {
        guard bytes.count <= Self.maximumSerializedSize else { throw .damaged("\(bytes.count) bytes") }
        do {
            let stored = try StoredKeys.decode(StoredSession.self, from: bytes)
            self.init(
                peer: stored.peer, associatedData: stored.associatedData, state: stored.state,
                alternate: stored.alternate)
        } catch {
            throw .damaged(JSONCoding.reason(of: error))
        }
    }
}

extension RatchetState {
    /// The members of the state's object, without its braces.
    func append(to text: inout SecretWriter) {
        text.append("\"chain_key_recv\":")
        text.appendKey(receivingChain)
        text.append(",\"chain_key_send\":")
        text.appendKey(sendingChain)
        text.append(",\"dh_remote_public\":")
        if let remote { text.appendHexText(remote) } else { text.append("null") }
        text.append(",\"dh_self_private\":")
        text.appendKey(selfPair.privateKey)
        text.append(",\"dh_self_public\":")
        text.appendHexText(selfPair.publicKey)
        text.append(",\"previous_send_chain_length\":")
        text.append(Array("\(previousSent)".utf8))
        text.append(",\"recv_message_number\":")
        text.append(Array("\(received)".utf8))
        text.append(",\"root_key\":")
        text.appendKey(root)
        text.append(",\"send_message_number\":")
        text.append(Array("\(sent)".utf8))
        text.append(",\"skipped_keys\":{")
        for (index, position) in skipped.order.enumerated() {
            if index > 0 { text.append(",") }
            text.append(position.text)
            text.append(":")
            text.appendKey(skipped[position])
        }
        text.append("}")
        guard skipped.count > 1 else { return }
        text.append(",\"skipped_order\":[")
        for (index, position) in skipped.order.enumerated() {
            if index > 0 { text.append(",") }
            text.append(position.text)
        }
        text.append("]")
    }
}

extension SecretWriter {
    /// Digits in quotes, or null.
    mutating func appendKey(_ key: SecretBytes?) {
        guard let key else { return append("null") }
        append("\"")
        key.withUnsafeBytes { appendHex($0) }
        append("\"")
    }

    fileprivate mutating func appendHexText(_ bytes: [UInt8]) {
        append("\"")
        bytes.withUnsafeBytes { appendHex($0) }
        append("\"")
    }
}

extension SkippedKeys.Position {
    /// In quotes.
    fileprivate var text: [UInt8] { Array("\"\(Hex.encode(dh)):\(n)\"".utf8) }
}
