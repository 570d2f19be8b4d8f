/// The first lines of an answer, as they go on the wire.
enum ResponseHead {
    /// How the body that follows is delimited.
    enum Framing { case length(Int), chunked, untilClose, none }

    /// Fields this module alone decides.
    private static let own = ["content-length", "transfer-encoding", "connection", "keep-alive"]

    static func bytes(
        status: Int, headers: HTTPHeaders, framing: Framing, closes: Bool
    ) -> [UInt8] {
        var text = "HTTP/1.1 \(status) \(reason(status))\r\n"
        for (name, value) in headers where !own.contains(where: { HTTPHeaders.isSame($0, name) }) {
            text += "\(name): \(value)\r\n"
        }
        switch framing {
        case .length(let count): text += "content-length: \(count)\r\n"
        case .chunked: text += "transfer-encoding: chunked\r\n"
        case .untilClose, .none: break
        }
        if closes { text += "connection: close\r\n" }
        return Array((text + "\r\n").utf8)
    }

    /// One chunk with its framing.
    static func chunk(_ bytes: [UInt8]) -> [UInt8] {
        var framed = Array("\(String(bytes.count, radix: 16))\r\n".utf8)
        framed.reserveCapacity(framed.count + bytes.count + 2)
        framed += bytes
        framed += [0x0d, 0x0a]
        return framed
    }

    static let lastChunk = Array("0\r\n\r\n".utf8)

    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 413: "Content Too Large"
        case 422: "Unprocessable Content"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: "Status"
        }
    }
}
