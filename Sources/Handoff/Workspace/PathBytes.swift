import Glibc

/// A path, name or link text as the kernel keeps it: bytes, which need not be UTF-8.
///
/// Compared byte by byte; Swift's `String` would hold two spellings of "é" equal that are two files to the kernel.
///
/// The text form (in JSON and in messages) keeps valid UTF-8 as it is and writes a backslash as `\\`; control characters
/// and bytes that are not UTF-8 become `\xNN`, lower case. Each value has exactly one text form; others are refused.
public struct PathBytes: Hashable, Sendable {
    /// The bytes, without a closing NUL.
    public let bytes: [UInt8]

    /// Takes the bytes as they are.
    public init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    /// Takes the UTF-8 bytes of a string, unescaped.
    public init(_ string: String) { bytes = Array(string.utf8) }

    /// Reads the text form; nil when it is not the one spelling of its bytes.
    public init?(escaped text: String) {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "\\"): bytes.append(UInt8(ascii: "\\"))
            case UInt8(ascii: "x"):
                guard let high = rest.popFirst().flatMap(Hexadecimal.value),
                    let low = rest.popFirst().flatMap(Hexadecimal.value)
                else { return nil }
                bytes.append(high << 4 | low)
            default: return nil
            }
        }
        self.init(bytes)
        // Compared as bytes: string equality would accept another normalisation.
        guard escaped.utf8.elementsEqual(text.utf8) else { return nil }
    }

    /// The text form.
    public var escaped: String {
        if bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\\") }) {
            return String(decoding: bytes, as: UTF8.self)
        }
        var text: [UInt8] = []
        var offset = 0
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        parsing: while true {
            switch parser.parseScalar(from: &iterator) {
            case .emptyInput: break parsing
            case .error(let length):
                Self.escape(bytes[offset..<offset + length], into: &text)
                offset += length
            case .valid(let encoded):
                let scalar = Unicode.UTF8.decode(encoded).value
                let source = bytes[offset..<offset + encoded.count]
                offset += encoded.count
                if scalar == 0x5c {
                    text += [0x5c, 0x5c]
                } else if scalar < 0x20 || (0x7f...0x9f).contains(scalar) {
                    // Includes the C1 controls: a terminal obeys them, and a name may come from a stranger.
                    Self.escape(source, into: &text)
                } else {
                    text += source
                }
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func escape(_ bytes: ArraySlice<UInt8>, into text: inout [UInt8]) {
        for byte in bytes { text += Array("\\x".utf8) + Array(Hexadecimal.text([byte]).utf8) }
    }

    /// The names between the slashes; empty ones are kept, so that they can be refused.
    var components: [ArraySlice<UInt8>] {
        bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    }

    /// The bytes before the last slash; none for a name at the top.
    var parent: ArraySlice<UInt8> {
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return [] }
        return bytes[..<slash]
    }

    /// The bytes after the last slash.
    var name: ArraySlice<UInt8> {
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return bytes[...] }
        return bytes[(slash + 1)...]
    }
}

extension PathBytes: Comparable {
    public static func < (left: PathBytes, right: PathBytes) -> Bool {
        order(left.bytes[...], right.bytes[...]) < 0
    }

    /// Negative, zero or positive, as memcmp(3), a prefix first.
    static func order(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Int {
        let difference = left.withUnsafeBytes { left in
            right.withUnsafeBytes { right -> CInt in
                let count = min(left.count, right.count)
                guard count > 0, let a = left.baseAddress, let b = right.baseAddress else { return 0 }
                return memcmp(a, b, count)
            }
        }
        return difference != 0 ? Int(difference) : left.count - right.count
    }
}

extension PathBytes: CustomStringConvertible {
    public var description: String { escaped }
}

extension PathBytes: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let path = PathBytes(escaped: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "a path is not in its one escaped form")
        }
        self = path
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(escaped)
    }
}
