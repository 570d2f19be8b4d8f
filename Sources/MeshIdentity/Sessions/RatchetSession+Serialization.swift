/// The stored form (AgentMesh wire §4): one JSON object in hex, with `associated_data` and `peer` beside the
/// state, and `skipped_order` where the age of skipped keys matters. It holds keys: store it sealed.
extension RatchetSession {
    /// Largest stored session that is read: 2,000 skipped keys take about 430 KiB.
    static let maximumSerializedSize = 1 << 20

    /// The stored form, in UTF-8.
    public func serialized() -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(1200 + state.skipped.count * 220)
        text.append(UInt8(ascii: "{"))
        text.appendHexField("associated_data", associatedData)
        text.append(UInt8(ascii: ","))
        text.appendName("peer")
        appendJSONString(peer, to: &text)
        text.append(UInt8(ascii: ","))
        state.append(to: &text)
        if let alternate {
            text.append(UInt8(ascii: ","))
            text.appendName("alternate")
            text.append(UInt8(ascii: "{"))
            alternate.append(to: &text)
            text.append(UInt8(ascii: "}"))
        }
        text.append(UInt8(ascii: "}"))
        return text
    }

    /// Reads a stored session, with either spelling of the counters; lengths are checked.
    public init(serialized bytes: [UInt8]) throws(SessionError) {
        guard bytes.count <= Self.maximumSerializedSize else { throw .damaged("\(bytes.count) bytes") }
        do {
            let stored = try JSONCoding.decode(StoredSession.self, from: bytes)
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
    func append(to text: inout [UInt8]) {
        text.appendHexField("chain_key_recv", receivingChain)
        text.append(UInt8(ascii: ","))
        text.appendHexField("chain_key_send", sendingChain)
        text.append(UInt8(ascii: ","))
        text.appendHexField("dh_remote_public", remote)
        text.append(UInt8(ascii: ","))
        text.appendHexField("dh_self_private", selfPair.privateKey)
        text.append(UInt8(ascii: ","))
        text.appendHexField("dh_self_public", selfPair.publicKey)
        text.appendCounter("previous_send_chain_length", previousSent)
        text.appendCounter("recv_message_number", received)
        text.append(UInt8(ascii: ","))
        text.appendHexField("root_key", root)
        text.appendCounter("send_message_number", sent)
        text.append(UInt8(ascii: ","))
        text.appendName("skipped_keys")
        text.append(UInt8(ascii: "{"))
        for (index, position) in skipped.order.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            text.appendPosition(position)
            text.append(UInt8(ascii: ":"))
            text.appendHex(skipped[position] ?? [])
        }
        text.append(UInt8(ascii: "}"))
        guard skipped.count > 1 else { return }
        text.append(UInt8(ascii: ","))
        text.appendName("skipped_order")
        text.append(UInt8(ascii: "["))
        for (index, position) in skipped.order.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            text.appendPosition(position)
        }
        text.append(UInt8(ascii: "]"))
    }
}

extension [UInt8] {
    fileprivate mutating func appendName(_ name: String) {
        append(UInt8(ascii: "\""))
        append(contentsOf: name.utf8)
        append(contentsOf: "\":".utf8)
    }
    fileprivate mutating func appendHex(_ bytes: [UInt8]) {
        append(UInt8(ascii: "\""))
        Hex.append(bytes, to: &self)
        append(UInt8(ascii: "\""))
    }
    fileprivate mutating func appendHexField(_ name: String, _ bytes: [UInt8]?) {
        appendName(name)
        if let bytes { appendHex(bytes) } else { append(contentsOf: "null".utf8) }
    }
    fileprivate mutating func appendCounter(_ name: String, _ value: UInt32) {
        append(UInt8(ascii: ","))
        appendName(name)
        append(contentsOf: String(value).utf8)
    }
    fileprivate mutating func appendPosition(_ position: SkippedKeys.Position) {
        append(UInt8(ascii: "\""))
        Hex.append(position.dh, to: &self)
        append(UInt8(ascii: ":"))
        append(contentsOf: String(position.n).utf8)
        append(UInt8(ascii: "\""))
    }
}
