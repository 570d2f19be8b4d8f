/// How the body of a request is delimited, or why the request is refused (RFC 9112 §6.3).
enum RequestFraming: Equatable {
    case none
    case length(Int)
    case chunked
    /// The status to answer with before the connection is closed.
    case refused(Int)

    init(method: String, headers: HTTPHeaders, maximumBodyBytes: Int) {
        let length = headers["content-length"]
        if let encoding = headers["transfer-encoding"] {
            // Both together are how requests are smuggled.
            guard length == nil, HTTPHeaders.isSame(encoding, "chunked") else {
                self = .refused(400)
                return
            }
            // libwebsockets 4.1 hands over a body without length for these methods alone.
            self = ["POST", "PUT", "PATCH"].contains(method) ? .chunked : .refused(411)
            return
        }
        guard let length else {
            self = .none
            return
        }
        guard (1...18).contains(length.utf8.count),
            length.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int(length)
        else {
            self = .refused(400)
            return
        }
        self = count == 0 ? .none : count > maximumBodyBytes ? .refused(413) : .length(count)
    }
}
