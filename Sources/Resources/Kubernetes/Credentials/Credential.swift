import Transport

/// Where a configuration's credentials come from.
enum CredentialSource: Sendable {
    case none
    case token(Secret)
    /// A file that somebody else renews.
    case tokenFile(String)
    case password(user: String, Secret)
    case plugin(ExecPlugin)

    static func token(_ text: String) -> CredentialSource { .token(Secret(text)) }
}

/// A text that no description shows.
struct Secret: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    let text: String

    init(_ text: String) { self.text = text }

    var description: String { "(hidden)" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// What one attempt of a request shows.
struct Credential: Sendable {
    /// The value of the `Authorization` field.
    var authorization: String?
    /// Used instead of the configuration's own certificate.
    var identity: ClientIdentity?
    /// Tells credentials apart that were had one after the other.
    var number = 0
}
