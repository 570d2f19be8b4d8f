/// A request to be sent.
public struct HTTPClientRequest: Sendable {
    public var method: String
    public var url: ServiceURL
    public var headers: HTTPHeaders
    public var body: [UInt8]

    public init(method: String = "GET", url: ServiceURL, headers: HTTPHeaders = [:], body: [UInt8] = []) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }
}

/// A whole answer.
public struct HTTPClientResponse: Sendable {
    public let status: Int
    public let headers: HTTPHeaders
    public let body: [UInt8]
}

/// An answer whose body is still arriving.
public struct HTTPStreamingResponse: Sendable {
    public let status: Int
    public let headers: HTTPHeaders
    public let body: HTTPBodyReader
}
