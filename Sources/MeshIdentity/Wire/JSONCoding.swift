import FoundationEssentials

/// JSON as the mesh writes it.
enum JSONCoding {
    /// One line, sorted keys, `/` as it is.
    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            preconditionFailure("a wire value cannot be written as JSON: \(error)")
        }
    }

    /// Reads one object.
    static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// What is wrong with a text that did not decode, in one phrase and without its values.
    static func reason(of error: any Error) -> String {
        guard let error = error as? DecodingError else { return "not JSON" }
        func name(_ path: [any CodingKey]) -> String { path.map(\.stringValue).joined(separator: ".") }
        switch error {
        case .keyNotFound(let key, _): return "\(key.stringValue) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return context.codingPath.isEmpty
                ? "not an object" : "\(name(context.codingPath)) has the wrong type"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "not JSON" : "\(name(context.codingPath)) is unreadable"
        @unknown default: return "not JSON"
        }
    }
}

extension KeyedDecodingContainer {
    /// Base64 of either alphabet that holds exactly `count` bytes.
    func decodeBase64(_ key: Key, count: Int) throws -> [UInt8] {
        let text = try decode(String.self, forKey: key)
        guard text.utf8.count <= count * 2 + 4, let bytes = Base64.decode(text), bytes.count == count else {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: self, debugDescription: "not base64 of \(count) bytes")
        }
        return bytes
    }

    func decodeBase64IfPresent(_ key: Key, count: Int) throws -> [UInt8]? {
        guard contains(key), try !decodeNil(forKey: key) else { return nil }
        return try decodeBase64(key, count: count)
    }

    /// A text of at most `limit` bytes.
    func decodeText(_ key: Key, limit: Int) throws -> String {
        let text = try decode(String.self, forKey: key)
        guard text.utf8.count <= limit else {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: self, debugDescription: "longer than \(limit) bytes")
        }
        return text
    }

    func decodeTextIfPresent(_ key: Key, limit: Int) throws -> String? {
        guard contains(key), try !decodeNil(forKey: key) else { return nil }
        return try decodeText(key, limit: limit)
    }
}

/// Text of a JSON string literal, quotes included, appended to UTF-8 that is being built.
func appendJSONString(_ text: String, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            output.append(UInt8(ascii: "\\"))
            output.append(byte)
        case UInt8(ascii: "\n"): output.append(contentsOf: "\\n".utf8)
        case UInt8(ascii: "\r"): output.append(contentsOf: "\\r".utf8)
        case UInt8(ascii: "\t"): output.append(contentsOf: "\\t".utf8)
        case 8: output.append(contentsOf: "\\b".utf8)
        case 12: output.append(contentsOf: "\\f".utf8)
        case 0..<32:
            output.append(contentsOf: "\\u00".utf8)
            Hex.append([byte], to: &output)
        default: output.append(byte)
        }
    }
    output.append(UInt8(ascii: "\""))
}
