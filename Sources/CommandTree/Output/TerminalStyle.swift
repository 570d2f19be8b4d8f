import Glibc

/// How text may look on the place it goes to: its width, and whether colours are welcome.
public struct TerminalStyle: Sendable {
    /// No colours, 80 columns.
    public static let plain = TerminalStyle(width: 80, isColoured: false)

    /// Columns of a line.
    public var width: Int
    /// Whether escape sequences for colours and weight are written.
    public var isColoured: Bool

    /// A style chosen by hand. Widths below 40 count as 40, above 120 as 120: longer lines read badly.
    public init(width: Int, isColoured: Bool) {
        self.width = min(max(width, 40), 120)
        self.isColoured = isColoured
    }

    /// The style of an open file: colours on a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    public static func detected(fileDescriptor: Int32, environment: [String: String]) -> TerminalStyle {
        let isTerminal = isatty(fileDescriptor) == 1
        return TerminalStyle(
            width: isTerminal ? columns(of: fileDescriptor) : 80,
            isColoured: allowsColour(isTerminal: isTerminal, environment: environment))
    }

    /// Text in bold letters.
    public func bold(_ text: String) -> String { wrap(text, "1") }
    /// Text that steps back.
    public func dim(_ text: String) -> String { wrap(text, "2") }
    /// Text that says something failed.
    public func red(_ text: String) -> String { wrap(text, "31") }
    /// Text that says something is well.
    public func green(_ text: String) -> String { wrap(text, "32") }
    /// Text that warns.
    public func yellow(_ text: String) -> String { wrap(text, "33") }

    static func allowsColour(isTerminal: Bool, environment: [String: String]) -> Bool {
        isTerminal && environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
    }

    private func wrap(_ text: String, _ code: String) -> String {
        isColoured && !text.isEmpty ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text
    }

    private static func columns(of fileDescriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(fileDescriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}
