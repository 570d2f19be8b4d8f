import FoundationEssentials

/// What a server answers.
public struct HTTPResponse: Sendable {
    /// Bytes at hand, or a producer that writes while the connection carries them away.
    public enum Body: Sendable {
        case bytes([UInt8])
        /// Sent chunked; a thrown error cuts the connection so that the client sees a broken answer.
        case stream(@Sendable (HTTPBodyWriter) async throws -> Void)
    }

    public var status: Int
    public var headers: HTTPHeaders
    public var body: Body
    /// Whether the connection ends with this answer, for peers that shall not ask again so soon.
    public var closesConnection = false

    public init(status: Int, headers: HTTPHeaders = [:], body: Body = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// JSON with sorted keys and unescaped slashes; status 500 when the value cannot be encoded.
    public static func json(_ value: some Encodable, status: Int = 200) -> HTTPResponse {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else {
            return .text("the answer cannot be encoded", status: 500)
        }
        return .bytes(Array(data), status: status, contentType: "application/json")
    }

    /// Plain text in UTF-8.
    public static func text(
        _ text: String, status: Int = 200, contentType: String = "text/plain; charset=utf-8"
    ) -> HTTPResponse {
        .bytes(Array(text.utf8), status: status, contentType: contentType)
    }

    /// Bytes of a stated kind.
    public static func bytes(
        _ bytes: [UInt8], status: Int = 200, contentType: String = "application/octet-stream"
    ) -> HTTPResponse {
        HTTPResponse(status: status, headers: ["content-type": contentType], body: .bytes(bytes))
    }
}

/// Answers one request; its Task is cancelled when the client goes away.
public typealias HTTPHandler = @Sendable (HTTPRequest) async -> HTTPResponse
