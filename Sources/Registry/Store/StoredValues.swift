import FoundationEssentials
import MeshIdentity
import Storage

/// Between wire values and columns.
extension DID {
    private static let meshPrefix = "did:mesh:"

    /// The first 16 bytes of the key's digest.
    var rowKey: [UInt8] {
        guard let bytes = Hex.decode(String(canonical.dropFirst(Self.meshPrefix.count))) else {
            preconditionFailure("a canonical DID is not hexadecimal")
        }
        return bytes
    }

    /// `did:mesh:` of a row key.
    static func text(rowKey: [UInt8]) -> String { meshPrefix + Hex.encode(rowKey) }
}

extension Date {
    var milliseconds: SQLValue { .integer(Int64((timeIntervalSince1970 * 1000).rounded())) }

    init(milliseconds: Int64) { self.init(timeIntervalSince1970: Double(milliseconds) / 1000) }
}

/// JSON columns.
enum JSONColumn {
    static func encode(_ value: some Encodable) throws -> SQLValue { .text(try text(value)) }

    static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from text: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }
}
