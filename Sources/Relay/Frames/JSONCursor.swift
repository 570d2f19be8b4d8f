/// Walks JSON text in place (RFC 8259). It decides where values begin and end and builds none of them.
struct JSONCursor {
    /// Where a string's content lies, without its quotes.
    struct Text {
        let start: Int
        let end: Int
        /// Whether a backslash occurs, so that the bytes are not yet the value.
        let isEscaped: Bool
    }

    private let base: UnsafeRawPointer
    private let count: Int
    private(set) var position = 0

    /// - Parameter bytes: must outlive the cursor; not empty.
    init(_ bytes: UnsafeRawBufferPointer) throws(ScanError) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { throw .notAnObject }
        self.base = base
        count = bytes.count
    }

    var isAtEnd: Bool { position == count }

    /// The byte at the position; 0, which no JSON token begins with, at the end.
    var byte: UInt8 { position < count ? load(position) : 0 }

    mutating func advance() { position += 1 }

    mutating func skipSpace() {
        while position < count {
            switch load(position) {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    /// Takes one expected byte.
    mutating func expect(_ expected: UInt8) throws(ScanError) {
        guard byte == expected else { throw .malformed }
        position += 1
    }

    /// Skips one value.
    ///
    /// - Parameter depth: how many containers may still be opened inside.
    mutating func skipValue(depth: Int) throws(ScanError) {
        switch byte {
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "{"): try skipObject(depth: depth)
        case UInt8(ascii: "["): try skipArray(depth: depth)
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: try number()
        }
    }

    private mutating func skipObject(depth: Int) throws(ScanError) {
        guard depth > 0 else { throw .tooDeep }
        position += 1
        skipSpace()
        if byte == UInt8(ascii: "}") { return position += 1 }
        while true {
            _ = try string()
            skipSpace()
            try expect(UInt8(ascii: ":"))
            skipSpace()
            try skipValue(depth: depth - 1)
            skipSpace()
            if byte == UInt8(ascii: "}") { return position += 1 }
            try expect(UInt8(ascii: ","))
            skipSpace()
        }
    }

    private mutating func skipArray(depth: Int) throws(ScanError) {
        guard depth > 0 else { throw .tooDeep }
        position += 1
        skipSpace()
        if byte == UInt8(ascii: "]") { return position += 1 }
        while true {
            try skipValue(depth: depth - 1)
            skipSpace()
            if byte == UInt8(ascii: "]") { return position += 1 }
            try expect(UInt8(ascii: ","))
            skipSpace()
        }
    }
}

// MARK: - Strings, numbers and literals

extension JSONCursor {
    /// Takes a string and checks its escapes and its UTF-8: what a recipient's parser would refuse must not
    /// reach its inbox, where it would break every connection anew.
    mutating func string() throws(ScanError) -> Text {
        try expect(UInt8(ascii: "\""))
        let start = position
        var isEscaped = false
        while true {
            skipPlainBlocks()
            // What stopped the blocks lies in the next 8 bytes.
            let retry = min(position + 8, count)
            repeat {
                guard position < count else { throw .malformed }
                let byte = load(position)
                switch byte {
                case UInt8(ascii: "\""):
                    position += 1
                    return Text(start: start, end: position - 1, isEscaped: isEscaped)
                case UInt8(ascii: "\\"):
                    isEscaped = true
                    try skipEscape()
                case 0x20..<0x80: position += 1
                case 0x80...: try skipMultibyte(byte)
                default: throw .malformed
                }
            } while position < retry
        }
    }

    /// Skips bytes that need no look, 8 at a time.
    ///
    /// In one word: a byte's high bit ends up set if it is above 0x7F, below 0x20 (the subtraction borrows),
    /// a quote or a backslash (their difference is 0). A borrow reaches the next byte only from such a one.
    /// Swift 6.3 compiles the same test on `SIMD16` to code 200 times slower.
    private mutating func skipPlainBlocks() {
        let ones: UInt64 = 0x0101_0101_0101_0101
        while position + 8 <= count {
            let word = base.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            let quotes = word ^ (ones &* 0x22)
            let backslashes = word ^ (ones &* 0x5C)
            let special = word | (word &- ones &* 0x20) | (quotes &- ones) | (backslashes &- ones)
            if special & (ones &* 0x80) != 0 { return }
            position += 8
        }
    }

    private mutating func skipEscape() throws(ScanError) {
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 1
        case UInt8(ascii: "u"):
            position += 1
            let unit = try hexUnit()
            switch unit {
            case 0xD800...0xDBFF:
                try expect(UInt8(ascii: "\\"))
                try expect(UInt8(ascii: "u"))
                guard case 0xDC00...0xDFFF = try hexUnit() else { throw .malformed }
            case 0xDC00...0xDFFF: throw .malformed
            default: break
            }
        default: throw .malformed
        }
    }

    private mutating func hexUnit() throws(ScanError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = Self.hexDigit(byte) else { throw .malformed }
            unit = unit << 4 | UInt16(digit)
            position += 1
        }
        return unit
    }

    static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    /// The well-formed sequences of Unicode 15, table 3-7.
    private mutating func skipMultibyte(_ first: UInt8) throws(ScanError) {
        let (length, second): (Int, ClosedRange<UInt8>) =
            switch first {
            case 0xC2...0xDF: (2, 0x80...0xBF)
            case 0xE0: (3, 0xA0...0xBF)
            case 0xED: (3, 0x80...0x9F)
            case 0xE1...0xEF: (3, 0x80...0xBF)
            case 0xF0: (4, 0x90...0xBF)
            case 0xF1...0xF3: (4, 0x80...0xBF)
            case 0xF4: (4, 0x80...0x8F)
            default: (0, 0...0)
            }
        guard length > 0, position + length <= count, second.contains(load(position + 1)) else {
            throw .malformed
        }
        for offset in 2..<max(length, 2) where load(position + offset) & 0xC0 != 0x80 { throw .malformed }
        position += length
    }

    private mutating func number() throws(ScanError) {
        if byte == UInt8(ascii: "-") { position += 1 }
        if byte == UInt8(ascii: "0") { position += 1 } else { try digits() }
        if byte == UInt8(ascii: ".") {
            position += 1
            try digits()
        }
        if byte | 0x20 == UInt8(ascii: "e") {
            position += 1
            if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
    }

    private mutating func digits() throws(ScanError) {
        guard case 0x30...0x39 = byte else { throw .malformed }
        repeat { position += 1 } while (0x30...0x39).contains(byte)
    }

    private mutating func literal(_ text: StaticString) throws(ScanError) {
        for offset in 0..<text.utf8CodeUnitCount { try expect(text.utf8Start[offset]) }
    }

    private func load(_ offset: Int) -> UInt8 { base.load(fromByteOffset: offset, as: UInt8.self) }
}
