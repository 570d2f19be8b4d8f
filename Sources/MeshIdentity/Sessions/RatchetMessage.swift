/// One sealed message: header and box (AgentMesh wire §4).
public struct RatchetMessage: Sendable, Equatable {
    /// The sender's ratchet key, 32 bytes.
    public var dh: [UInt8]
    /// Messages sent in the sender's previous chain.
    public var pn: UInt32
    /// Number in this chain.
    public var n: UInt32
    /// Nonce ‖ box.
    public var ciphertext: [UInt8]

    public init(dh: [UInt8], pn: UInt32, n: UInt32, ciphertext: [UInt8]) {
        self.dh = dh
        self.pn = pn
        self.n = n
        self.ciphertext = ciphertext
    }

    /// The 40 bytes that are authenticated: dh ‖ pn ‖ n, big-endian.
    var header: [UInt8] { Self.header(dh: dh, pn: pn, n: n) }

    static func header(dh: [UInt8], pn: UInt32, n: UInt32) -> [UInt8] {
        var header = dh
        header.reserveCapacity(40)
        for value in [pn, n] {
            for shift in [24, 16, 8, 0] as [UInt32] {
                header.append(UInt8(truncatingIfNeeded: value >> shift))
            }
        }
        return header
    }
}
