/// Makes text safe for one line of a terminal: control characters (a newline, an escape sequence) are
/// spelled out, so that what a stranger named something cannot forge lines or drive the terminal.
public enum PrintableText {
    /// The text with control characters spelled out as `\n`, `\t` or `\u{1b}`.
    public static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            case _ where isControl(scalar): result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The text between quotes, escaped and cut after 60 characters, as messages show what was typed.
    public static func quoted(_ text: String) -> String {
        "'\(shortened(text))'"
    }

    /// The text, escaped and cut after 60 characters.
    static func shortened(_ text: String) -> String {
        text.count > 60 ? escaped(String(text.prefix(59))) + "…" : escaped(text)
    }

    /// C0 and C1 controls, line separators, and marks that reverse the direction of what follows.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
