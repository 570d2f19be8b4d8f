import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

/// Values that the published reference library made.
enum Vectors {
    static func load<Value: Decodable>(_ name: String, as type: Value.Type) throws -> Value {
        let url = try #require(Bundle.module.url(forResource: "Vectors/\(name)", withExtension: "json"))
        return try JSONDecoder().decode(type, from: Data(contentsOf: url))
    }

    /// A vector file as untyped JSON objects.
    static func objects(_ name: String, under key: String = "vectors") throws -> [[String: Any]] {
        let url = try #require(Bundle.module.url(forResource: "Vectors/\(name)", withExtension: "json"))
        let file = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
        return try #require(file[key] as? [[String: Any]])
    }

    static func json(_ object: Any) throws -> [UInt8] {
        Array(
            try JSONSerialization.data(
                withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes]))
    }
}

extension [String: Any] {
    func text(_ key: String) throws -> String { try #require(self[key] as? String) }
    func hex(_ key: String) throws -> [UInt8] { try #require(Hex.decode(try text(key))) }
    func object(_ key: String) throws -> [String: Any] { try #require(self[key] as? [String: Any]) }
}

func identity(seed: [UInt8]) throws -> Identity { try Identity(seed: SecretBytes(copying: seed)) }

extension [UInt8] {
    /// With one bit changed.
    func flipping(bit: Int) -> [UInt8] {
        var copy = self
        copy[bit / 8] ^= 1 << UInt8(bit % 8)
        return copy
    }
}

let noon = Date(timeIntervalSince1970: 1_795_478_400)  // 2026-11-24T00:00:00Z
