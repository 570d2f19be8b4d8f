/// Who signed in with a provider.
public struct VerifiedPerson: Codable, Sendable, Equatable {
    /// Longest field in bytes.
    static let maximumTextBytes = 320

    public let provider: String
    /// The provider's own, which never changes.
    public let providerID: String
    public let username: String?
    public let email: String?

    /// Nil for an id that is empty or too long; other fields that are unusable are left out.
    public init?(provider: String, providerID: String, username: String?, email: String?) {
        guard Self.isUsable(providerID) else { return nil }
        self.provider = provider
        self.providerID = providerID
        self.username = username.flatMap { Self.isUsable($0) ? $0 : nil }
        self.email = email.flatMap { Self.isUsable($0) ? $0 : nil }
    }

    /// Printable and bounded, because operators read it.
    private static func isUsable(_ text: String) -> Bool {
        (1...maximumTextBytes).contains(text.utf8.count)
            && text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
    }

    private enum CodingKeys: String, CodingKey {
        case provider, username, email
        case providerID = "provider_id"
    }
}
