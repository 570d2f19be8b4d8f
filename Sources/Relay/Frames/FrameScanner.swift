/// Finds the addressing of a frame in its bytes, without decoding it (AgentMesh wire §5, design decision 9).
///
/// The whole text is checked to be one JSON object, so that what is forwarded parses at the other end.
enum FrameScanner {
    /// Most containers inside each other, the frame's own included.
    static let maximumDepth = 32

    /// Scans one whole message.
    static func scan(_ bytes: UnsafeRawBufferPointer) throws(ScanError) -> ScannedFrame {
        var cursor = try JSONCursor(bytes)
        cursor.skipSpace()
        guard cursor.byte == UInt8(ascii: "{") else { throw .notAnObject }
        cursor.advance()
        var frame = ScannedFrame(insertionPoint: cursor.position)
        cursor.skipSpace()
        if cursor.byte == UInt8(ascii: "}") {
            frame.isEmpty = true
            cursor.advance()
        } else {
            try scanMembers(&cursor, of: bytes, into: &frame)
        }
        cursor.skipSpace()
        guard cursor.isAtEnd else { throw .malformed }
        return frame
    }

    private static func scanMembers(
        _ cursor: inout JSONCursor, of bytes: UnsafeRawBufferPointer, into frame: inout ScannedFrame
    ) throws(ScanError) {
        while true {
            let key = field(try cursor.string(), of: bytes)
            cursor.skipSpace()
            try cursor.expect(UInt8(ascii: ":"))
            cursor.skipSpace()
            // Not by key paths, which are slow to follow.
            switch key {
            case .type: try scan(&frame.type, &cursor)
            case .from: try scan(&frame.from, &cursor)
            case .to: try scan(&frame.to, &cursor)
            case .id: try scan(&frame.id, &cursor)
            case nil: try cursor.skipValue(depth: maximumDepth - 1)
            }
            cursor.skipSpace()
            if cursor.byte == UInt8(ascii: "}") { return cursor.advance() }
            try cursor.expect(UInt8(ascii: ","))
            cursor.skipSpace()
        }
    }

    /// A value of a field that was not there before.
    private static func scan(_ field: inout ScannedFrame.Field, _ cursor: inout JSONCursor) throws(ScanError) {
        guard case .absent = field else { throw .duplicateField }
        if cursor.byte == UInt8(ascii: "\"") {
            field = .text(try cursor.string())
        } else {
            try cursor.skipValue(depth: maximumDepth - 1)
            field = .other
        }
    }

    /// The fields that are looked at.
    private enum Key { case type, from, to, id }

    /// The field a key names, also when it is spelled with escapes: a recipient's parser would see through them.
    private static func field(_ key: JSONCursor.Text, of bytes: UnsafeRawBufferPointer) -> Key? {
        let raw = UnsafeRawBufferPointer(rebasing: bytes[key.start..<key.end])
        guard key.isEscaped else { return field(raw) }
        // The longest name has 4 characters, which escapes make 24 bytes.
        guard raw.count <= 24 else { return nil }
        return JSONText.unescaped(raw).withUnsafeBytes { field($0) }
    }

    private static func field(_ name: UnsafeRawBufferPointer) -> Key? {
        switch name.count {
        case 4 where name.isEqual(to: "type"): .type
        case 4 where name.isEqual(to: "from"): .from
        case 2 where name.isEqual(to: "to"): .to
        case 2 where name.isEqual(to: "id"): .id
        default: nil
        }
    }
}
