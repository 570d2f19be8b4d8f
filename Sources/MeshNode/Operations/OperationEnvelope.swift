import FoundationEssentials

/// How a request travels: `{"v":1,"id":…,"op":…,"body":{…}}`.
struct OperationRequest<Body: Codable & Sendable>: Codable, Sendable {
    var v = 1
    let id: String
    let op: String
    let body: Body
    /// Of a ``StreamOperation`` that comes through the mesh.
    var stream: StreamOffer?
}

/// The part of a request that is read before its body's type is known.
struct OperationHeader: Codable, Sendable {
    let v: Int
    let id: String
    let op: String

    static let maximumIDBytes = 128
}

/// How an answer travels: `{"v":1,"id":…,"ok":{…}}` or `{"v":1,"id":…,"error":{…}}`.
struct OperationResponse<Body: Codable & Sendable>: Codable, Sendable {
    var v = 1
    let id: String
    var ok: Body?
    var error: OperationFailure?

    func get() throws(OperationFailure) -> Body {
        if let error { throw error }
        guard let ok else { throw OperationFailure(.failed, "the peer sent an empty answer") }
        return ok
    }
}

/// The JSON form of everything a peer sends.
public enum PeerJSON {
    public static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return [UInt8](try encoder.encode(value))
        } catch {
            preconditionFailure("a message of ours cannot be encoded: \(error)")
        }
    }

    public static func decode<T: Decodable>(_ type: T.Type, from bytes: [UInt8]) -> T? {
        try? JSONDecoder().decode(type, from: Data(bytes))
    }
}
