/// A text of which the contract knows every value; another one is refused by naming them.
public protocol ClosedChoice: RawRepresentable, CaseIterable, Codable, Sendable, Equatable where RawValue == String {}

extension ClosedChoice {
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let choice = Self(rawValue: text) else {
            let known = Self.allCases.map(\.rawValue).joined(separator: ", ")
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath,
                    debugDescription: "must be \(Self.allCases.count == 1 ? "" : "one of ")\(known), not \(text.prefix(64))"))
        }
        self = choice
    }
}
