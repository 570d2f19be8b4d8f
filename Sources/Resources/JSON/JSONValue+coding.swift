import FoundationEssentials

extension JSONValue: Codable {
    /// Deepest nesting that is read: recursion costs stack.
    public static let maximumDepth = 128

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    public init(from decoder: any Decoder) throws {
        guard decoder.codingPath.count <= Self.maximumDepth else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: [], debugDescription: "nested more than \(Self.maximumDepth) deep"))
        }
        let value = try decoder.singleValueContainer()
        // Every failed attempt costs: what is frequent comes first.
        if let string = try? value.decode(String.self) {
            self = .string(string)
        } else if let object = try? decoder.container(keyedBy: Name.self) {
            var members: [String: JSONValue] = [:]
            for name in object.allKeys {
                members[name.stringValue] = try object.decode(JSONValue.self, forKey: name)
            }
            self = .object(members)
        } else if var array = try? decoder.unkeyedContainer() {
            var elements: [JSONValue] = []
            while !array.isAtEnd { elements.append(try array.decode(JSONValue.self)) }
            self = .array(elements)
        } else if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int64.self) {
            self = .int(integer)
        } else {
            self = .double(try value.decode(Double.self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let members):
            var object = encoder.container(keyedBy: Name.self)
            for (name, value) in members { try object.encode(value, forKey: Name(stringValue: name)) }
        case .array(let elements):
            var array = encoder.unkeyedContainer()
            for element in elements { try array.encode(element) }
        case .null:
            var value = encoder.singleValueContainer()
            try value.encodeNil()
        case .bool(let bool):
            var value = encoder.singleValueContainer()
            try value.encode(bool)
        case .int(let number):
            var value = encoder.singleValueContainer()
            try value.encode(number)
        case .double(let number):
            var value = encoder.singleValueContainer()
            try value.encode(number)
        case .string(let text):
            var value = encoder.singleValueContainer()
            try value.encode(text)
        }
    }

    /// Reads a JSON text in UTF-8.
    ///
    /// - Throws: `DecodingError` when it is malformed or nested deeper than ``maximumDepth``.
    public init(decoding bytes: some Sequence<UInt8>) throws {
        self = try JSONDecoder().decode(JSONValue.self, from: Data(bytes))
    }

    /// The JSON text in UTF-8: sorted names, no spaces, slashes unescaped. Numbers JSON has no form for (infinity,
    /// not a number) become null.
    public func encode() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if let data = try? encoder.encode(self) { return Array(data) }
        // Nothing but a number JSON cannot say makes the encoder fail.
        return withoutUnspeakableNumbers.encode()
    }

    private var withoutUnspeakableNumbers: JSONValue {
        switch self {
        case .double(let number): number.isFinite ? self : .null
        case .array(let elements): .array(elements.map(\.withoutUnspeakableNumbers))
        case .object(let members): .object(members.mapValues(\.withoutUnspeakableNumbers))
        default: self
        }
    }

    /// Any encodable value as JSON.
    public init(encoding value: some Encodable) throws {
        self = try JSONValue(decoding: try JSONEncoder().encode(value))
    }

    /// Reads a typed value from this one.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(type, from: Data(encode()))
    }
}
