/// An object of JSON, written as it goes: for answers that come often, where encoders cost more than all else.
struct JSONText {
    private(set) var bytes: [UInt8] = []
    private var isFirst = true

    init() { bytes.reserveCapacity(1024) }

    /// Begins an object, or an element of a list.
    mutating func open() {
        bytes.append(UInt8(ascii: "{"))
        isFirst = true
    }

    mutating func close() {
        bytes.append(UInt8(ascii: "}"))
        isFirst = false
    }

    /// What is JSON already, between fields or as it is.
    mutating func raw(_ text: String) { bytes += text.utf8 }

    mutating func field(_ name: StaticString, json: String) {
        key(name)
        bytes += json.utf8
    }

    mutating func field(_ name: StaticString, _ value: Int) { field(name, json: "\(value)") }

    /// Nil, and what JSON cannot say, is `null`.
    mutating func field(_ name: StaticString, _ value: Double?) {
        field(name, json: value.flatMap { $0.isFinite ? "\($0)" : nil } ?? "null")
    }

    /// Nil is `null`.
    mutating func field(_ name: StaticString, _ value: String?) {
        key(name)
        guard let value else {
            bytes += "null".utf8
            return
        }
        bytes.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case ..<0x20: bytes += Self.escaped[Int(byte)]
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func key(_ name: StaticString) {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
        bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { bytes += $0 }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    /// `\u0000` to `\u001f` (RFC 8259 §7).
    private static let escaped: [[UInt8]] = (0..<0x20).map { code in
        let digits = String(code, radix: 16)
        return Array("\\u00\(code < 16 ? "0" : "")\(digits)".utf8)
    }
}
