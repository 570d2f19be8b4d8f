/// Writes numbers big-endian and byte strings behind their length.
struct CanonicalWriter {
    private(set) var bytes: [UInt8] = []

    mutating func write(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func write(_ value: [UInt8]) {
        write(UInt32(value.count))
        bytes.append(contentsOf: value)
    }

    mutating func write(_ id: ChunkID) { id.append(to: &bytes) }

    mutating func clear() { bytes.removeAll(keepingCapacity: true) }
}

/// Reads what ``CanonicalWriter`` wrote; every read may run out.
struct CanonicalReader {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var remaining: Int { bytes.count - offset }

    mutating func read<Value: FixedWidthInteger>(_ type: Value.Type) throws(WorkspaceError) -> Value {
        var value: Value = 0
        for byte in try take(MemoryLayout<Value>.size) {
            value = Value(truncatingIfNeeded: UInt64(truncatingIfNeeded: value) << 8 | UInt64(byte))
        }
        return value
    }

    mutating func readBytes() throws(WorkspaceError) -> [UInt8] {
        Array(try take(Int(try read(UInt32.self))))
    }

    mutating func readID() throws(WorkspaceError) -> ChunkID {
        guard let id = ChunkID(bytes: try take(ChunkID.byteCount)) else {
            throw .corrupt("a chunk identifier is cut short")
        }
        return id
    }

    /// A count of items that take at least `size` bytes each, so that a lie cannot reserve memory.
    mutating func readCount(ofItems size: Int) throws(WorkspaceError) -> Int {
        let count = Int(try read(UInt32.self))
        guard count <= remaining / size else { throw .corrupt("a count exceeds the data behind it") }
        return count
    }

    private mutating func take(_ count: Int) throws(WorkspaceError) -> ArraySlice<UInt8> {
        guard count <= remaining else { throw .corrupt("the manifest is cut short") }
        defer { offset += count }
        return bytes[offset..<offset + count]
    }
}
