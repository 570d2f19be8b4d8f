/// JSON strings, read and written.
enum JSONText {
    /// The value of a string's content that ``JSONCursor`` found well-formed.
    static func unescaped(_ raw: UnsafeRawBufferPointer) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(raw.count)
        var position = 0
        while position < raw.count {
            let byte = raw[position]
            position += 1
            guard byte == UInt8(ascii: "\\"), position < raw.count else {
                result.append(byte)
                continue
            }
            let escape = raw[position]
            position += 1
            switch escape {
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0C)
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "u"):
                var value = unit(raw, at: position)
                position += 4
                if (0xD800...0xDBFF).contains(value) {
                    value = 0x10000 + (value - 0xD800) << 10 + (unit(raw, at: position + 2) - 0xDC00)
                    position += 6
                }
                if let scalar = Unicode.Scalar(value) { result.append(contentsOf: UTF8.encode(scalar)!) }
            default: result.append(escape)
            }
        }
        return result
    }

    private static func unit(_ raw: UnsafeRawBufferPointer, at position: Int) -> UInt32 {
        raw[position..<position + 4].reduce(0) { $0 << 4 | UInt32(JSONCursor.hexDigit($1) ?? 0) }
    }

    /// Whether a text needs no escapes.
    static func isPlain(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var isPlain = true
            for byte in bytes where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                isPlain = false
            }
            return isPlain
        }
    }

    /// The text as a JSON string, quotes included.
    static func quoted(_ text: String) -> String {
        if isPlain(text) { return "\"" + text + "\"" }
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                result += "\\u00" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
