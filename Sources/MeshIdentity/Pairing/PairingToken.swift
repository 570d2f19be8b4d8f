import FoundationEssentials

/// What `pair generate` shows once: where a controller is, which key it has, and a secret that pairs one
/// peer.
///
/// The key is pinned so that the first message is already sealed to it (design decision 2); the issuer stores
/// only ``secretHash``. Printing a token shows no secret; ``encoded()`` does.
public struct PairingToken: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    /// What every token begins with; the digit is the version.
    public static let prefix = "azcp_1_"
    /// Size of the secret in bytes.
    public static let secretSize = 32
    /// Longest token that is read, in bytes.
    public static let maximumLength = 4096

    public let controllerAMID: String
    public let relayURL: String
    public let registryURL: String
    public let secret: [UInt8]
    public let controllerKey: PublicKey
    public let expiresAt: Date

    /// A token with a fresh secret.
    public static func make(
        controller: PublicKey, relayURL: String, registryURL: String, expiresAt: Date
    ) -> PairingToken {
        PairingToken(
            controllerAMID: controller.amid, relayURL: relayURL, registryURL: registryURL,
            secret: RandomBytes.make(secretSize), controllerKey: controller, expiresAt: expiresAt)
    }

    private init(
        controllerAMID: String, relayURL: String, registryURL: String, secret: [UInt8],
        controllerKey: PublicKey,
        expiresAt: Date
    ) {
        self.controllerAMID = controllerAMID
        self.relayURL = relayURL
        self.registryURL = registryURL
        self.secret = secret
        self.controllerKey = controllerKey
        // A token carries milliseconds; the value in memory must not differ from the one that is read back.
        self.expiresAt = MeshTimestamp.parse(MeshTimestamp.format(expiresAt)) ?? expiresAt
    }

    /// Reads a token; white space around it is dropped, unknown fields are ignored, expiry is not checked.
    public init(parsing text: String) throws(TokenError) {
        guard text.utf8.count <= Self.maximumLength else { throw .notAToken }
        let text = text.trimmed
        guard text.hasPrefix(Self.prefix) else {
            throw text.hasPrefix("azcp_") ? .otherVersion : .notAToken
        }
        guard let json = Base64.decode(String(text.dropFirst(Self.prefix.count))),
            let fields = try? JSONCoding.decode(Fields.self, from: json)
        else { throw .unreadable }
        guard let secretText = fields.secret, let secret = Base64.decode(secretText),
            secret.count == Self.secretSize,
            Base64.encodeURL(secret) == secretText
        else { throw .field("secret") }
        guard let amid = fields.controllerAMID, !amid.isEmpty else { throw .field("controller_amid") }
        guard let relay = fields.relayURL,
            Self.isURL(relay, schemes: ["ws://", "wss://", "http://", "https://"])
        else {
            throw .field("relay_url")
        }
        guard let registry = fields.registryURL, Self.isURL(registry, schemes: ["http://", "https://"]) else {
            throw .field("registry_url")
        }
        guard let keyText = fields.controllerKey, let expiryText = fields.expiresAt else { throw .unpinned }
        guard let key = try? PublicKey(base64: keyText) else { throw .field("controller_key") }
        guard let expiry = MeshTimestamp.parse(expiryText) else { throw .field("expires_at") }
        guard let name = try? DID(parsing: amid), name.names(key) else { throw .keyMismatch }
        self.init(
            controllerAMID: key.amid, relayURL: relay, registryURL: registry, secret: secret,
            controllerKey: key,
            expiresAt: expiry)
    }

    /// The one line to hand over.
    public func encoded() -> String {
        let fields = Fields(
            controllerAMID: controllerAMID, relayURL: relayURL, registryURL: registryURL, secret: secretText,
            controllerKey: controllerKey.base64URL, expiresAt: MeshTimestamp.format(expiresAt))
        return Self.prefix + Base64.encodeURL(JSONCoding.encode(fields))
    }

    /// Refuses a token at or past its expiry.
    public func checkExpiry(now: Date) throws(TokenError) {
        guard now < expiresAt else { throw .expired(MeshTimestamp.format(expiresAt)) }
    }

    /// Base64url of the secret: what a `pair_request` carries.
    public var secretText: String { Base64.encodeURL(secret) }

    /// Hex SHA-256 of ``secretText``: all that the issuer stores.
    public var secretHash: String { Hex.encode(SHA256Digest.hash(Array(secretText.utf8))) }

    /// Whether a `pair_request`'s secret is the one whose hash was stored, in constant time.
    public static func secret(_ text: String, matches storedHash: String) -> Bool {
        ConstantTime.equals(
            Array(Hex.encode(SHA256Digest.hash(Array(text.utf8))).utf8), Array(storedHash.utf8))
    }

    public static func == (left: PairingToken, right: PairingToken) -> Bool {
        ConstantTime.equals(left.secret, right.secret) && left.controllerKey == right.controllerKey
            && left.relayURL == right.relayURL && left.registryURL == right.registryURL
            && left.expiresAt == right.expiresAt
    }

    public var description: String {
        "pairing token of \(controllerAMID), expires \(MeshTimestamp.format(expiresAt))"
    }
    public var customMirror: Mirror { Mirror(self, children: []) }

    private static func isURL(_ text: String, schemes: [String]) -> Bool {
        text.utf8.allSatisfy { $0 > 32 && $0 < 127 }
            && schemes.contains { text.hasPrefix($0) && text.utf8.count > $0.utf8.count }
    }

    private struct Fields: Codable {
        let controllerAMID: String?
        let relayURL: String?
        let registryURL: String?
        let secret: String?
        let controllerKey: String?
        let expiresAt: String?

        enum CodingKeys: String, CodingKey {
            case secret
            case controllerAMID = "controller_amid"
            case relayURL = "relay_url"
            case registryURL = "registry_url"
            case controllerKey = "controller_key"
            case expiresAt = "expires_at"
        }
    }
}

extension String {
    /// Without ASCII white space at both ends.
    var trimmed: String {
        func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
        let bytes = utf8.drop(while: isSpace)
        return String(decoding: bytes.reversed().drop(while: isSpace).reversed(), as: UTF8.self)
    }
}
