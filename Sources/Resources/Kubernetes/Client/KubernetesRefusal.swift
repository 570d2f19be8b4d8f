/// What an API server said when it refused: its `Status` object, and what it was asked.
public struct KubernetesRefusal: Sendable, Equatable {
    /// The address of the server.
    public let server: String
    /// What it was asked, such as "create pods kars-a/agent".
    public let action: String
    /// The HTTP status.
    public let code: Int
    /// The machine's word for it, such as "NotFound"; empty when the server gave none.
    public let reason: String
    /// The server's sentence; one line.
    public let message: String
    /// Seconds after which the server wants to be asked again.
    public let retryAfterSeconds: Int?

    /// Longest message kept, in bytes.
    private static let maximumMessageBytes = 2_000

    init(
        server: String, action: String, code: Int, reason: String = "", message: String = "",
        retryAfterSeconds: Int? = nil
    ) {
        self.server = server
        self.action = action
        self.code = code
        self.reason = reason
        self.message = Self.line(message)
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// Reads the body of an answer; anything but a `Status` gives its text.
    init(server: String, action: String, code: Int, body: [UInt8], retryAfterSeconds: Int? = nil) {
        if let status = try? JSONValue(decoding: body), status["kind"] == "Status" {
            self.init(
                server: server, action: action, code: code, status: status, retryAfterSeconds: retryAfterSeconds)
        } else {
            let text = String(decoding: body.prefix(Self.maximumMessageBytes), as: UTF8.self)
            self.init(
                server: server, action: action, code: code, message: text, retryAfterSeconds: retryAfterSeconds)
        }
    }

    /// Reads a `Status` object.
    init(server: String, action: String, code: Int, status: JSONValue, retryAfterSeconds: Int? = nil) {
        self.init(
            server: server, action: action, code: code, reason: status["reason"]?.stringValue ?? "",
            message: status["message"]?.stringValue ?? "",
            retryAfterSeconds: retryAfterSeconds
                ?? status[path: ["details", "retryAfterSeconds"]]?.intValue.flatMap { Int(exactly: $0) })
    }

    /// One printable line: a server may say what it likes.
    private static func line(_ text: String) -> String {
        let scalars = text.unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? " " : $0 }
        var line = String(String.UnicodeScalarView(scalars))
        while line.utf8.count > maximumMessageBytes { line.removeLast(line.count / 4 + 1) }
        return line.split(separator: " ").joined(separator: " ")
    }

    var error: KubernetesError {
        switch code {
        case 400, 422: .invalid(self)
        case 401: .unauthorized(self)
        case 403: .forbidden(self)
        case 404: .notFound(self)
        case 409: reason == "AlreadyExists" ? .alreadyExists(self) : .conflict(self)
        case 410: .expired(self)
        case 429, 503: .busy(self)
        default: .refused(self)
        }
    }
}

extension KubernetesRefusal: CustomStringConvertible {
    public var description: String {
        let cause = message.isEmpty ? (reason.isEmpty ? "status \(code)" : reason) : message
        return "\(server) refused to \(action): \(cause)"
    }
}
