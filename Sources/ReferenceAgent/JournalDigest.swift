import CSodium

/// The running digest over all turns in their order: each is BLAKE2b-256 of the turn's bytes keyed
/// with the digest before it. Two workspaces with the same digest hold the same conversations.
struct JournalDigest: Equatable, Sendable {
    static let byteCount = 32
    private(set) var bytes: [UInt8]

    init() { self.init(bytes: [UInt8](repeating: 0, count: Self.byteCount)) }

    /// Goes on where a journal ended.
    init(bytes: [UInt8]) {
        precondition(bytes.count == Self.byteCount)
        self.bytes = bytes
        // Any number of calls is allowed; without it libsodium picks no implementation for this processor.
        precondition(sodium_init() >= 0, "libsodium does not start")
    }

    mutating func append(_ turn: UnsafeRawBufferPointer) {
        let before = bytes
        let status = crypto_generichash(
            &bytes, Self.byteCount, turn.baseAddress?.assumingMemoryBound(to: UInt8.self),
            UInt64(turn.count), before, before.count)
        precondition(status == 0, "libsodium refused sizes it documents")
    }

    var hex: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.byteCount * 2) { digits, count in
            for byte in bytes {
                digits[count] = Self.digit(byte >> 4)
                digits[count + 1] = Self.digit(byte & 15)
                count += 2
            }
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

    var text: String { String(decoding: hex, as: UTF8.self) }
}
