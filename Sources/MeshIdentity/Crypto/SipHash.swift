import CSodium

/// SipHash-2-4 with 128 bits of output: stands for short texts in tables that strangers fill.
///
/// Without the key nobody can find two texts of the same hash, or one with a hash of their choice.
public struct SipHash: Sendable {
    /// Bytes of a key.
    public static let keySize = 16

    private let key: [UInt8]

    /// - Parameter key: secret; ``keySize`` bytes.
    public init(key: [UInt8]) {
        precondition(key.count == Self.keySize, "SipHash takes a key of \(Self.keySize) bytes")
        Sodium.ready
        self.key = key
    }

    /// The 16 bytes as two words.
    public func hash(_ bytes: UnsafeRawBufferPointer) -> (UInt64, UInt64) {
        var words: (UInt64, UInt64) = (0, 0)
        let input = bytes.bindMemory(to: UInt8.self)
        withUnsafeMutableBytes(of: &words) { output in
            _ = crypto_shorthash_siphashx24(
                output.bindMemory(to: UInt8.self).baseAddress!, input.baseAddress, UInt64(input.count), key)
        }
        return (UInt64(littleEndian: words.0), UInt64(littleEndian: words.1))
    }
}
