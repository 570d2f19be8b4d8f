/// What a plain scalar means.
enum YAMLScalar {
    static let tagPrefix = "tag:yaml.org,2002:"

    private static let nulls: Set<String> = ["", "~", "null", "Null", "NULL"]
    private static let truths: Set<String> = [
        "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y",
    ]
    private static let falsehoods: Set<String> = [
        "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N",
    ]
    private static let unspeakable: Set<String> = [
        ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN",
    ]

    /// The value; nil for infinity and what is not a number, which JSON cannot say.
    static func value(of text: String) -> JSONValue? {
        guard let first = text.utf8.first else { return .null }
        switch first {
        case 0x30...0x39, UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."):
            if unspeakable.contains(text) { return nil }
            return number(text) ?? .string(text)
        default:
            // Longer texts mean none of these.
            guard text.utf8.count <= 5 else { return .string(text) }
            if nulls.contains(text) { return .null }
            if truths.contains(text) { return true }
            if falsehoods.contains(text) { return false }
            return .string(text)
        }
    }

    /// Whether a text in quotes would mean something else without them.
    static func needsQuotes(_ text: String) -> Bool {
        text == "<<" || text == "=" || value(of: text) != .string(text)
    }

    /// YAML 1.1's numbers, as the Go library of Kubernetes reads them, without base 60.
    private static func number(_ text: String) -> JSONValue? {
        let plain = text.contains("_") ? text.filter { $0 != "_" } : text
        if let integer = integer(plain) { return .int(integer) }
        guard isFloat(plain), let number = Double(plain), number.isFinite else { return nil }
        return .double(number)
    }

    private static func integer(_ text: String) -> Int64? {
        var digits = Substring(text)
        var sign = ""
        if let first = digits.first, first == "-" || first == "+" {
            sign = String(first)
            digits.removeFirst()
        }
        guard let first = digits.utf8.first, (0x30...0x39).contains(first) else { return nil }
        for (prefix, radix) in [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)]
        where digits.hasPrefix(prefix) {
            let rest = digits.dropFirst(2)
            // A second sign would be taken for one.
            guard rest.utf8.first.map({ $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "+") }) ?? false else { return nil }
            return Int64(sign + rest, radix: radix)
        }
        return Int64(sign + digits, radix: digits.utf8.count > 1 && first == UInt8(ascii: "0") ? 8 : 10)
    }

    /// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
    private static func isFloat(_ text: String) -> Bool {
        var rest = Substring(text).utf8
        func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        func takeDigits() -> Int {
            let count = rest.prefix(while: isDigit).count
            rest = rest.dropFirst(count)
            return count
        }
        if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        let whole = takeDigits()
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            guard takeDigits() > 0 || whole > 0 else { return false }
        } else if whole == 0 {
            return false
        }
        if let first = rest.first, first == UInt8(ascii: "e") || first == UInt8(ascii: "E") {
            rest = rest.dropFirst()
            if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { rest = rest.dropFirst() }
            guard takeDigits() > 0 else { return false }
        }
        return rest.isEmpty
    }
}
