import CWebSockets

/// What libwebsockets parsed of a request or response head.
///
/// The library keeps only the header fields it has a token for; it offers no way to list the others in
/// 4.1, only to ask for one by its name, which is what `customHeaders` are for. A field with a token that
/// occurs several times arrives as one value joined with a comma.
enum ParsedHead {
    /// The library's methods in its order of tokens.
    private static let methods: [(lws_token_indexes, String)] = [
        (WSI_TOKEN_GET_URI, "GET"), (WSI_TOKEN_POST_URI, "POST"), (WSI_TOKEN_PUT_URI, "PUT"),
        (WSI_TOKEN_DELETE_URI, "DELETE"), (WSI_TOKEN_PATCH_URI, "PATCH"), (WSI_TOKEN_HEAD_URI, "HEAD"),
        (WSI_TOKEN_OPTIONS_URI, "OPTIONS"),
    ]

    /// Names of the tokens that are header fields.
    private static let fields: [(token: lws_token_indexes, name: String)] = {
        let notFields: Set<UInt32> = [
            WSI_TOKEN_HTTP.rawValue, WSI_TOKEN_HTTP_URI_ARGS.rawValue, WSI_TOKEN_HTTP1_0.rawValue,
            WSI_TOKEN_PROXY.rawValue, WSI_TOKEN_CONNECT.rawValue, WSI_TOKEN_CHALLENGE.rawValue,
        ]
        return (0..<_WSI_TOKEN_CLIENT_SENT_PROTOCOLS.rawValue).compactMap { index in
            let token = lws_token_indexes(index)
            guard !notFields.contains(index), !methods.contains(where: { $0.0 == token }),
                let text = lws_token_to_string(token)
            else { return nil }
            let name = String(cString: UnsafeRawPointer(text).assumingMemoryBound(to: CChar.self))
            guard name.hasSuffix(":"), name.count > 1, !name.hasPrefix(":") else { return nil }
            return (token, String(name.dropLast()))
        }
    }()

    /// Method and percent-encoded path; nil for a method the library has no token for.
    static func methodAndPath(of socket: OpaquePointer) -> (method: String, path: String)? {
        for (token, method) in methods {
            if let bytes = value(of: token, on: socket) {
                return (method, encoded(bytes, isPath: true))
            }
        }
        return nil
    }

    /// The query as the client may have written it: the library hands it over split and decoded.
    static func query(of socket: OpaquePointer) -> String? {
        guard lws_hdr_total_length(socket, WSI_TOKEN_HTTP_URI_ARGS) > 0 else { return nil }
        var parts: [String] = []
        var buffer = [CChar](repeating: 0, count: LoopContext.maximumHeaderBytes)
        var index: Int32 = 0
        while true {
            let length = lws_hdr_copy_fragment(
                socket, &buffer, Int32(buffer.count), WSI_TOKEN_HTTP_URI_ARGS, index)
            if length < 0 { break }
            parts.append(encoded(buffer.prefix(Int(length)).map { UInt8(bitPattern: $0) }, isPath: false))
            index += 1
        }
        return parts.joined(separator: "&")
    }

    /// Every field with a token, then the custom ones asked for.
    static func headers(of socket: OpaquePointer, custom: [String]) -> HTTPHeaders {
        var headers = HTTPHeaders()
        for (token, name) in fields {
            if let bytes = value(of: token, on: socket) {
                headers.add(name, String(decoding: bytes, as: UTF8.self))
            }
        }
        for name in custom {
            let key = name.lowercased() + ":"
            let length = lws_hdr_custom_length(socket, key, Int32(key.utf8.count))
            guard length >= 0 else { continue }
            var buffer = [CChar](repeating: 0, count: Int(length) + 1)
            guard
                lws_hdr_custom_copy(socket, &buffer, Int32(buffer.count), key, Int32(key.utf8.count)) >= 0
            else { continue }
            let bytes = buffer.prefix(Int(length)).map { UInt8(bitPattern: $0) }
            headers.add(name, String(decoding: bytes, as: UTF8.self))
        }
        return headers
    }

    static func text(of token: lws_token_indexes, on socket: OpaquePointer) -> String? {
        value(of: token, on: socket).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func value(of token: lws_token_indexes, on socket: OpaquePointer) -> [UInt8]? {
        let length = Int(lws_hdr_total_length(socket, token))
        guard length > 0 else { return nil }
        // Room for the commas the library puts between repeated fields.
        var buffer = [CChar](repeating: 0, count: length + 64)
        let copied = lws_hdr_copy(socket, &buffer, Int32(buffer.count), token)
        guard copied > 0 else { return nil }
        return buffer.prefix(Int(copied)).map { UInt8(bitPattern: $0) }
    }

    /// Encodes what cannot stand in a path or a part of a query (RFC 3986 §3.3).
    private static func encoded(_ bytes: [UInt8], isPath: Bool) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        for byte in bytes {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: result.append(byte)
            case _ where "-._~!$'()*,:@/=".utf8.contains(byte): result.append(byte)
            case _ where isPath && "&+;".utf8.contains(byte): result.append(byte)
            default: result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
