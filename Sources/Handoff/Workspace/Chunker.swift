import Glibc

/// Cuts content where its own bytes say so, so that an insertion moves only the chunks it touches.
///
/// A gear hash (FastCDC): the hash shifts left by one bit per byte and adds a random word per byte value, so its upper
/// bits depend on the last 64 bytes alone. A cut falls where those bits are zero; the condition is stricter before the
/// average size and looser behind it, which narrows the spread of sizes.
///
/// The root of a workspace names its chunks, so the cuts belong to the version of the manifest: a tree is verified by
/// cutting it again, and another constant here needs another ``Manifest/currentVersion``.
enum Chunker {
    /// A chunk is shorter only at the end of a file.
    static let minimumSize = 16 << 10
    static let averageSize = 64 << 10
    /// Longest chunk anywhere, in bytes.
    static let maximumSize = 256 << 10

    private static let strictMask: UInt64 = ~0 << (64 - 17)
    private static let looseMask: UInt64 = ~0 << (64 - 15)

    /// Length of the first chunk of `content`, which is either at least ``maximumSize`` long or ends with the file.
    static func cut(_ content: UnsafeRawBufferPointer) -> Int {
        let count = min(content.count, maximumSize)
        guard count > minimumSize, let bytes = content.baseAddress else { return count }
        let middle = min(count, averageSize)
        return gear.withUnsafeBufferPointer { gear -> Int in
            guard let gear = gear.baseAddress else { return count }
            var hash: UInt64 = 0
            // The window is filled before the first place where a cut may fall.
            var index = minimumSize - 64
            while index < minimumSize {
                hash = hash << 1 &+ gear[Int(bytes.load(fromByteOffset: index, as: UInt8.self))]
                index += 1
            }
            while index < middle {
                hash = hash << 1 &+ gear[Int(bytes.load(fromByteOffset: index, as: UInt8.self))]
                index += 1
                if hash & strictMask == 0 { return index }
            }
            while index < count {
                hash = hash << 1 &+ gear[Int(bytes.load(fromByteOffset: index, as: UInt8.self))]
                index += 1
                if hash & looseMask == 0 { return index }
            }
            return count
        }
    }

    /// The chunk into which a long run of zeros is cut: ``maximumSize`` of them.
    static let zeros = ChunkID(of: [UInt8](repeating: 0, count: maximumSize))

    /// Whether all bytes are zero.
    static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first, first == 0, let start = bytes.baseAddress else { return bytes.isEmpty }
        // Every byte equals the one before it, and the first is zero.
        return memcmp(start, start.advanced(by: 1), bytes.count - 1) == 0
    }

    /// 256 words drawn from BLAKE2b of a fixed label, so that every build has the same ones.
    private static let gear: [UInt64] = (0..<256).map { value in
        let digest = ChunkID(of: Array("kars workspace gear v1".utf8) + [UInt8(value)])
        return digest.bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
