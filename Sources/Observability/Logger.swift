import Glibc

/// Structured log lines of one service, on standard error.
///
/// A field's value may come from a stranger: control characters are escaped in both formats, so a line is
/// always one line. Callers never pass secrets or message contents.
public struct Logger: Sendable {
    public typealias Fields = KeyValuePairs<String, any CustomStringConvertible & Sendable>

    private let service: String
    private let format: LogFormat
    private let level: LogLevel
    private let sink: @Sendable (String) -> Void

    /// - Parameters:
    ///   - format: nil picks text on a terminal and JSON lines otherwise.
    ///   - sink: receives one line with its newline; standard error when nil.
    public init(
        service: String, format: LogFormat? = nil, level: LogLevel = .info,
        sink: (@Sendable (String) -> Void)? = nil
    ) {
        self.service = service
        self.format = format ?? (isatty(STDERR_FILENO) == 1 ? .text : .json)
        self.level = level
        self.sink = sink ?? Self.writeToStandardError
    }

    /// A logger that drops every line, for tests.
    public static let silent = Logger(service: "", format: .json, level: .error, sink: { _ in })

    public func debug(_ message: String, _ fields: Fields = [:]) { log(.debug, message, fields) }
    public func info(_ message: String, _ fields: Fields = [:]) { log(.info, message, fields) }
    public func warn(_ message: String, _ fields: Fields = [:]) { log(.warn, message, fields) }
    public func error(_ message: String, _ fields: Fields = [:]) { log(.error, message, fields) }

    private func log(_ level: LogLevel, _ message: String, _ fields: Fields) {
        guard level >= self.level else { return }
        sink(line(level, message, fields, time: .now()))
    }

    func line(_ level: LogLevel, _ message: String, _ fields: Fields, time: WallClock) -> String {
        switch format {
        case .text:
            var line = "\(time.text) \(level.rawValue.uppercased()) \(service): "
            line += Self.escaped(message, quotes: false)
            for (key, value) in fields { line += " \(key)=\(Self.escaped(value.description, quotes: true))" }
            return line + "\n"
        case .json:
            var line = "{\"ts\":\"\(time.text)\",\"level\":\"\(level.rawValue)\",\"service\":"
            line += "\(Self.json(service)),\"msg\":\(Self.json(message))"
            for (key, value) in fields { line += ",\(Self.json(key)):\(Self.json(value.description))" }
            return line + "}\n"
        }
    }

    private static func json(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F: quoted += unicodeEscape(scalar)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        let isPlain = text.unicodeScalars.allSatisfy {
            $0.value > 0x20 && $0.value != 0x7F && $0 != "\"" && $0 != "="
        }
        if quotes { return isPlain && !text.isEmpty ? text : json(text) }
        return String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
    }

    private static func unicodeEscape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// One `write` a line, so that lines of several threads and processes do not mix.
    private static let writeToStandardError: @Sendable (String) -> Void = { line in
        var line = line
        line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
