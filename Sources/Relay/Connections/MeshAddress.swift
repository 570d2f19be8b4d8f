import MeshIdentity

/// Where frames for one key go: the first 16 bytes of SHA-256 of the key, which every form of its name shares
/// (AgentMesh wire §1).
struct MeshAddress: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64

    /// Longest name of any form in bytes.
    static let maximumNameBytes = 64
    private static let prefix: StaticString = "did:mesh:"

    /// Reads `did:mesh:`, `did:agentmesh:` or a bare AMID.
    init?(_ name: UnsafeRawBufferPointer) {
        guard name.count <= Self.maximumNameBytes else { return nil }
        let prefixCount = Self.prefix.utf8CodeUnitCount
        if name.count == prefixCount + 32,
            UnsafeRawBufferPointer(rebasing: name[..<prefixCount]).isEqual(to: Self.prefix)
        {
            guard let high = Self.word(name[prefixCount..<prefixCount + 16]),
                let low = Self.word(name[(prefixCount + 16)...])
            else { return nil }
            self.init(high: high, low: low)
            return
        }
        guard let did = try? DID(parsing: String(decoding: name, as: UTF8.self)) else { return nil }
        self.init(did)
    }

    init(_ did: DID) {
        let digits = Array(did.canonical.utf8.suffix(32))
        let words = digits.withUnsafeBytes { (Self.word($0[..<16]), Self.word($0[16...])) }
        guard let high = words.0, let low = words.1 else {
            preconditionFailure("a canonical DID does not end in 32 hexadecimal digits")
        }
        self.init(high: high, low: low)
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads what ``bytes`` gave.
    init?(bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The 16 bytes.
    var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 16) { output, count in
            store(into: UnsafeMutableRawBufferPointer(output), at: 0)
            count = 16
        }
    }

    /// Writes the 16 bytes into memory.
    func store(into memory: UnsafeMutableRawBufferPointer, at offset: Int) {
        memory.storeBytes(of: high.bigEndian, toByteOffset: offset, as: UInt64.self)
        memory.storeBytes(of: low.bigEndian, toByteOffset: offset + 8, as: UInt64.self)
    }

    /// Spreads addresses over `count` shards.
    func shard(of count: Int) -> Int { Int(low % UInt64(count)) }

    /// Sixteen lower-case hexadecimal digits; upper case is no DID.
    private static func word(_ digits: Slice<UnsafeRawBufferPointer>) -> UInt64? {
        var word: UInt64 = 0
        for digit in digits {
            switch digit {
            case 0x30...0x39: word = word << 4 | UInt64(digit - 0x30)
            case 0x61...0x66: word = word << 4 | UInt64(digit - 0x57)
            default: return nil
            }
        }
        return word
    }
}

extension MeshAddress: CustomStringConvertible {
    /// The name in the form `did:mesh:`.
    var description: String { "did:mesh:" + Hex.encode(bytes) }
}
