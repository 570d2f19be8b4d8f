import MeshIdentity

/// Stands for a recipient, a sender and an id in what the inbox remembers.
struct MessageKey: Hashable, Comparable, Sendable {
    let high: UInt64
    let low: UInt64

    static func < (left: MessageKey, right: MessageKey) -> Bool {
        left.high != right.high ? left.high < right.high : left.low < right.low
    }

    /// The key is a hash already.
    func hash(into hasher: inout Hasher) { hasher.combine(low) }
}

/// Makes keys of messages with the secret of one inbox, so that who chooses ids chooses no keys: none meets another's,
/// and they are spread evenly.
struct MessageKeys: Sendable {
    private static let addressBytes = 16
    private let function: SipHash

    /// - Parameter secret: `SipHash.keySize` bytes, stored with what is remembered.
    init(secret: [UInt8]) { function = SipHash(key: secret) }

    func key(recipient: MeshAddress, sender: MeshAddress, id: String) -> MessageKey {
        let (high, low) = hash(recipient, sender, id)
        return MessageKey(high: high, low: low)
    }

    /// Where an ack finds its message, whose sender it does not name; not unique.
    func tag(recipient: MeshAddress, id: String) -> Int64 { Int64(bitPattern: hash(recipient, nil, id).0) }

    private func hash(_ recipient: MeshAddress, _ sender: MeshAddress?, _ id: String) -> (UInt64, UInt64) {
        var id = id
        return id.withUTF8 { text in
            let head = (sender == nil ? 1 : 2) * Self.addressBytes
            return withUnsafeTemporaryAllocation(byteCount: head + text.count, alignment: 8) { input in
                recipient.store(into: input, at: 0)
                sender?.store(into: input, at: Self.addressBytes)
                UnsafeMutableRawBufferPointer(rebasing: input[head...]).copyMemory(from: UnsafeRawBufferPointer(text))
                return function.hash(UnsafeRawBufferPointer(input))
            }
        }
    }
}
