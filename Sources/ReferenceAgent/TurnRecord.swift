import CSodium

/// What the index knows of one turn: 32 bytes of a file, so that a turn is found without reading those before it.
///
/// Records are numbered from 0 in the order of the journal. Those of one conversation are linked backwards: to the turn
/// before, and by a jump to one further back, so that any turn is some dozens of records away from the latest.
struct TurnRecord: Equatable {
    static let byteCount = 32

    /// A line of the journal, without its newline.
    struct Place: Equatable {
        let offset: UInt64
        let length: UInt32
    }

    let place: Place
    /// Position in its conversation, counted from 1.
    let turn: UInt32
    /// The record of the turn before; of a first turn, its own.
    let previous: UInt32
    /// A record further back; of a first turn, its own.
    let jump: UInt32

    /// The bytes of the file; the last eight are a checksum that binds record, number and file.
    ///
    /// - Parameter salt: tells one history of the file from another.
    func encoded(number: UInt32, salt: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.byteCount)
        bytes.append(integer: place.offset)
        for value in [place.length, turn, previous, jump] { bytes.append(integer: value) }
        bytes.append(integer: Self.checksum(bytes[...], number, salt))
        return bytes
    }

    /// - Returns: nil for what is not the record of that number, or links to what cannot be before it.
    init?(_ bytes: ArraySlice<UInt8>, number: UInt32, salt: UInt64) {
        guard bytes.count == Self.byteCount else { return nil }
        var reader = ByteReader(bytes)
        guard let offset = reader.integer(UInt64.self), let length = reader.integer(UInt32.self),
            let turn = reader.integer(UInt32.self), let previous = reader.integer(UInt32.self),
            let jump = reader.integer(UInt32.self), let checksum = reader.integer(UInt64.self),
            checksum == Self.checksum(bytes.dropLast(8), number, salt), turn >= 1,
            turn == 1 ? previous == number && jump == number : previous < number && jump <= previous
        else { return nil }
        self.init(place: Place(offset: offset, length: length), turn: turn, previous: previous, jump: jump)
    }

    init(place: Place, turn: UInt32, previous: UInt32, jump: UInt32) {
        self.place = place
        self.turn = turn
        self.previous = previous
        self.jump = jump
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>, _ number: UInt32, _ salt: UInt64) -> UInt64 {
        var text = Array(bytes)
        text.append(integer: number)
        text.append(integer: salt)
        return ShortHash.of(text)
    }
}

/// The first eight bytes of BLAKE2b-256.
enum ShortHash {
    static func of(_ bytes: [UInt8]) -> UInt64 {
        var digest = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        let status = withUnsafeMutableBytes(of: &digest) {
            crypto_generichash(
                $0.baseAddress!.assumingMemoryBound(to: UInt8.self), $0.count, bytes, UInt64(bytes.count), nil, 0)
        }
        precondition(status == 0, "libsodium refused sizes it documents")
        return UInt64(littleEndian: digest.0)
    }
}

extension [UInt8] {
    /// Little-endian, as all numbers of the index.
    mutating func append(integer value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}

/// Reads little-endian numbers one after the other; nil beyond the end.
struct ByteReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type) -> T? {
        guard let bytes = take(MemoryLayout<T>.size) else { return nil }
        return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(as: T.self)) }
    }

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
}
