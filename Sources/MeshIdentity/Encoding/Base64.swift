/// Base64 in the two alphabets of RFC 4648: relays speak the standard one, registries the URL-safe one
/// (AgentMesh wire §8), and both are accepted everywhere.
public enum Base64 {
    private static let standard: [UInt8] = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let urlSafe: [UInt8] = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    private static let padding = UInt8(ascii: "=")

    /// Six bits of each character; 64 marks the two of the standard alphabet, 128 the two URL-safe ones, 255
    /// none.
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 255, count: 256)
        for (value, character) in standard.enumerated() { table[Int(character)] = UInt8(value) }
        table[Int(UInt8(ascii: "+"))] = 62 | 64
        table[Int(UInt8(ascii: "/"))] = 63 | 64
        table[Int(UInt8(ascii: "-"))] = 62 | 128
        table[Int(UInt8(ascii: "_"))] = 63 | 128
        return table
    }()

    /// Standard alphabet, padded.
    public static func encode(_ bytes: [UInt8]) -> String {
        let capacity = (bytes.count + 2) / 3 * 4
        return String(unsafeUninitializedCapacity: capacity) { buffer in
            write(bytes, alphabet: standard, padded: true, into: buffer.baseAddress)
        }
    }

    /// URL-safe alphabet, no padding.
    public static func encodeURL(_ bytes: [UInt8]) -> String {
        let capacity = (bytes.count + 2) / 3 * 4
        return String(unsafeUninitializedCapacity: capacity) { buffer in
            write(bytes, alphabet: urlSafe, padded: false, into: buffer.baseAddress)
        }
    }

    /// Reads either alphabet, padded or not.
    ///
    /// Strict otherwise, so that a value has one spelling an alphabet: no white space, no mixture of the
    /// alphabets, no half padding, and the unused bits of the last character are zero.
    public static func decode(_ text: String) -> [UInt8]? {
        var text = text
        return text.withUTF8 { decode($0) }
    }

    private static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        var count = text.count
        if count > 0, text[count - 1] == padding {
            guard count.isMultiple(of: 4) else { return nil }
            count -= text[count - 2] == padding ? 2 : 1
        }
        let rest = count % 4
        guard rest != 1 else { return nil }
        var seen: UInt8 = 0
        var failed = false
        let size = count / 4 * 3 + (rest == 0 ? 0 : rest - 1)
        let bytes = values.withUnsafeBufferPointer { table in
            [UInt8](unsafeUninitializedCapacity: size) { output, written in
                var accumulator: UInt32 = 0
                var bits = 0
                for index in 0..<count {
                    let value = table[Int(text[index])]
                    if value >= 192 {
                        failed = true
                        break
                    }
                    seen |= value & 0xC0
                    accumulator = accumulator << 6 | UInt32(value & 63)
                    bits += 6
                    if bits >= 8 {
                        bits -= 8
                        output[written] = UInt8(truncatingIfNeeded: accumulator >> UInt32(bits))
                        written += 1
                    }
                }
                if accumulator & (1 << UInt32(bits) - 1) != 0 { failed = true }
            }
        }
        return failed || seen == 0xC0 ? nil : bytes
    }

    /// Appends the standard, padded form to UTF-8 text that is being built.
    static func append(_ bytes: [UInt8], to text: inout [UInt8]) {
        let start = text.count
        let capacity = (bytes.count + 2) / 3 * 4
        text.append(contentsOf: repeatElement(0, count: capacity))
        text.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            _ = write(bytes, alphabet: standard, padded: true, into: base + start)
        }
    }

    private static func write(
        _ bytes: [UInt8], alphabet: [UInt8], padded: Bool, into output: UnsafeMutablePointer<UInt8>?
    ) -> Int {
        guard let output else { return 0 }
        var written = 0
        func put(_ byte: UInt8) {
            output[written] = byte
            written += 1
        }
        return alphabet.withUnsafeBufferPointer { alphabet in
            var index = 0
            while index + 2 < bytes.count {
                let group =
                    UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2])
                put(alphabet[Int(group >> 18)])
                put(alphabet[Int(group >> 12 & 63)])
                put(alphabet[Int(group >> 6 & 63)])
                put(alphabet[Int(group & 63)])
                index += 3
            }
            if bytes.count - index == 1 {
                put(alphabet[Int(bytes[index] >> 2)])
                put(alphabet[Int(bytes[index] & 3) << 4])
                if padded {
                    put(padding)
                    put(padding)
                }
            } else if bytes.count - index == 2 {
                put(alphabet[Int(bytes[index] >> 2)])
                put(alphabet[Int(bytes[index] & 3) << 4 | Int(bytes[index + 1] >> 4)])
                put(alphabet[Int(bytes[index + 1] & 15) << 2])
                if padded { put(padding) }
            }
            return written
        }
    }
}
