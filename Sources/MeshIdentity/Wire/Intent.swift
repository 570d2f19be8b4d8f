/// What a KNOCK asks for (AgentMesh wire §5).
public struct Intent: Codable, Sendable, Equatable {
    /// What the published SDK sends.
    public static let establishSession = "establish_session"
    /// Largest canonical form in bytes.
    public static let maximumSize = 16_384

    public let action: String
    public let description: String?
    public let capabilitiesRequired: [String]?
    public let trustMinimum: Double?
    /// What is signed: JSON with sorted keys and no spaces. Includes fields that this type does not know.
    public let canonicalBytes: [UInt8]
    private let value: JSONValue

    public init(
        action: String, description: String? = nil, capabilitiesRequired: [String]? = nil,
        trustMinimum: Double? = nil
    ) {
        var members: [String: JSONValue] = ["action": .string(action)]
        if let description { members["description"] = .string(description) }
        if let capabilitiesRequired {
            members["capabilities_required"] = .array(capabilitiesRequired.map { .string($0) })
        }
        if let trustMinimum {
            members["trust_minimum"] =
                Int64(exactly: trustMinimum).map { .integer($0) } ?? .number(trustMinimum)
        }
        self.action = action
        self.description = description
        self.capabilitiesRequired = capabilitiesRequired
        self.trustMinimum = trustMinimum
        value = .object(members)
        var bytes: [UInt8] = []
        value.appendCanonical(to: &bytes)
        canonicalBytes = bytes
    }

    private enum CodingKeys: String, CodingKey {
        case action, description
        case capabilitiesRequired = "capabilities_required"
        case trustMinimum = "trust_minimum"
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        action = try object.decodeText(.action, limit: 256)
        description = try object.decodeTextIfPresent(.description, limit: 8192)
        capabilitiesRequired = try object.decodeIfPresent([String].self, forKey: .capabilitiesRequired)
        trustMinimum = try object.decodeIfPresent(Double.self, forKey: .trustMinimum)
        value = try JSONValue(from: decoder)
        var bytes: [UInt8] = []
        value.appendCanonical(to: &bytes)
        guard bytes.count <= Self.maximumSize else {
            throw DecodingError.dataCorruptedError(
                forKey: .action, in: object, debugDescription: "intent too large")
        }
        canonicalBytes = bytes
    }

    public func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
}
