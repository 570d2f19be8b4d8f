import CSodium

/// The name of a chunk: BLAKE2b-256 of its bytes, without a key.
///
/// Held as four words rather than an array, so that a manifest of a million chunks costs one allocation.
/// Encoded as 64 lower-case hexadecimal digits.
public struct ChunkID: Hashable, Sendable {
    /// Length of the digest in bytes.
    public static let byteCount = 32

    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// Hashes the content of a chunk.
    public init(of content: [UInt8]) {
        self = content.withUnsafeBytes { ChunkID(hashing: $0) }
    }

    /// Reads an identifier from exactly 32 bytes; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        var words: [UInt64] = [0, 0, 0, 0]
        for (index, byte) in bytes.enumerated() { words[index / 8] = words[index / 8] << 8 | UInt64(byte) }
        self.words = (words[0], words[1], words[2], words[3])
    }

    /// Reads 64 lower-case hexadecimal digits; nil for anything else.
    public init?(hex: String) {
        let digits = Array(hex.utf8)
        guard digits.count == Self.byteCount * 2 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.byteCount)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Hexadecimal.value(digits[index]),
                let low = Hexadecimal.value(digits[index + 1])
            else { return nil }
            bytes.append(high << 4 | low)
        }
        self.init(bytes: bytes)
    }

    init(hashing content: UnsafeRawBufferPointer) {
        precondition(Self.isSodiumReady)
        var digest: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &digest) { output in
            let status = crypto_generichash(
                output.baseAddress!.assumingMemoryBound(to: UInt8.self), Self.byteCount,
                content.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(content.count), nil, 0)
            precondition(status == 0, "BLAKE2b refuses only wrong lengths")
        }
        words = (
            UInt64(bigEndian: digest.0), UInt64(bigEndian: digest.1),
            UInt64(bigEndian: digest.2), UInt64(bigEndian: digest.3)
        )
    }

    /// The 32 bytes of the digest.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.byteCount)
        append(to: &bytes)
        return bytes
    }

    var firstByte: UInt8 { UInt8(words.0 >> 56) }

    func append(to bytes: inout [UInt8]) {
        let big = (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian)
        withUnsafeBytes(of: big) { bytes.append(contentsOf: $0) }
    }

    /// The identifier as 64 lower-case hexadecimal digits.
    public var hex: String { Hexadecimal.text(bytes) }

    public static func == (left: ChunkID, right: ChunkID) -> Bool { left.words == right.words }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }

    /// libsodium picks the fast code for this processor only once it is initialised.
    private static let isSodiumReady = sodium_init() >= 0
}

extension ChunkID: CustomStringConvertible {
    public var description: String { hex }
}

extension ChunkID: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = ChunkID(hex: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "a chunk identifier is 64 lower-case hexadecimal digits")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(hex)
    }
}
