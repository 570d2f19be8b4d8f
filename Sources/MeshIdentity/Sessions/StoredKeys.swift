import FoundationEssentials

/// Keeps keys out of the JSON decoder, whose texts are never wiped: before it reads, every text of 64 hexadecimal digits
/// is taken out, and its place holds a number instead.
enum StoredKeys {
    private static let digits = 64
    private static let userInfoKey = CodingUserInfoKey(rawValue: "kars.stored-keys")!

    /// Decodes one object; its keys are read with ``decodeKeyIfPresent(_:)``.
    static func decode<Value: Decodable>(_ type: Value.Type, from json: UnsafeRawBufferPointer) throws -> Value {
        let (text, keys) = takeKeys(json)
        let decoder = JSONDecoder()
        decoder.userInfo[userInfoKey] = keys
        return try decoder.decode(type, from: Data(text))
    }

    /// The text without its keys, and the keys in their order.
    private static func takeKeys(_ json: UnsafeRawBufferPointer) -> (text: [UInt8], keys: [SecretBytes]) {
        let quote = UInt8(ascii: "\"")
        var text: [UInt8] = []
        text.reserveCapacity(json.count)
        var keys: [SecretBytes] = []
        var index = 0
        while index < json.count {
            let byte = json[index]
            text.append(byte)
            index += 1
            guard byte == quote else { continue }
            let start = index
            while index < json.count, json[index] != quote { index += json[index] == UInt8(ascii: "\\") ? 2 : 1 }
            index = min(index, json.count)
            let content = UnsafeRawBufferPointer(rebasing: json[start..<index])
            if let key = key(content) {
                text += Array("#\(keys.count)".utf8)
                keys.append(key)
            } else {
                text += content
            }
            if index < json.count { text.append(quote) }
            index += 1
        }
        return (text, keys)
    }

    private static func key(_ content: UnsafeRawBufferPointer) -> SecretBytes? {
        guard content.count == digits else { return nil }
        var isHex = false
        let key = SecretBytes(pooled: digits / 2) { isHex = Hex.decode(content, into: $0) }
        return isHex ? key : nil
    }

    /// The key that was in the place of `text`.
    static func find(_ text: String, _ userInfo: [CodingUserInfoKey: Any]) -> SecretBytes? {
        guard text.first == "#", let index = Int(text.dropFirst()), let keys = userInfo[userInfoKey] as? [SecretBytes],
            keys.indices.contains(index)
        else { return nil }
        return keys[index]
    }
}
