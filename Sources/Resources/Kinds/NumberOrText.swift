/// A value that Kubernetes takes as a whole number or as text, such as a quantity.
public enum NumberOrText: Codable, Sendable, Equatable {
    case number(Int64)
    case text(String)

    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        self = if let number = try? value.decode(Int64.self) { .number(number) } else { .text(try value.decode(String.self)) }
    }

    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .number(let number): try value.encode(number)
        case .text(let text): try value.encode(text)
        }
    }

    public var text: String {
        switch self {
        case .number(let number): String(number)
        case .text(let text): text
        }
    }
}
