/// The registry's resources (AgentMesh wire §7, and ours below `home`). A DID is still text here.
enum Route: Equatable {
    case health
    case openAPI
    case agents
    case agent(String)
    case prekeys(String)
    case presence(String)
    case heartbeat(String)
    case reputation(String)
    case revocation(String)
    case home(String)
    case homeHistory(String)
    case succession
    case sessionReputation
    case verification
    case discovery
    case oauthProviders
    case oauthAuthorization
    case oauthCallback
    case oauthPolling
    case logHead
    case logEntries
    case logProof
    case logConsistency

    /// Longest path read, in bytes.
    static let maximumPathBytes = 1024

    /// Finds the resource of a percent-encoded path; nil when there is none.
    init?(path: String) {
        guard path.utf8.count <= Self.maximumPathBytes, path.utf8.first == UInt8(ascii: "/") else { return nil }
        var parts: [String] = []
        for part in path.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            guard let part = Self.decoded(part) else { return nil }
            parts.append(part)
        }
        if parts == ["health"] {
            self = .health
            return
        }
        if parts == ["openapi.json"] {
            self = .openAPI
            return
        }
        guard parts.count > 1, parts.removeFirst() == "v1" else { return nil }
        switch (parts[0], parts.count) {
        case ("agents", 1): self = .agents
        case ("agents", 2): self = .agent(parts[1])
        case ("agents", 3):
            switch parts[2] {
            case "prekeys": self = .prekeys(parts[1])
            case "presence": self = .presence(parts[1])
            case "heartbeat": self = .heartbeat(parts[1])
            case "reputation": self = .reputation(parts[1])
            case "revoke": self = .revocation(parts[1])
            case "home": self = .home(parts[1])
            default: return nil
            }
        case ("agents", 4) where parts[2...] == ["home", "history"]: self = .homeHistory(parts[1])
        case ("discover", 1): self = .discovery
        case ("registry", 2) where parts[1] == "verify": self = .verification
        case ("registry", 2) where parts[1] == "succession": self = .succession
        case ("registry", 3) where parts[1...] == ["reputation", "session"]: self = .sessionReputation
        case ("auth", 3) where parts[1...] == ["oauth", "providers"]: self = .oauthProviders
        case ("auth", 3) where parts[1...] == ["oauth", "authorize"]: self = .oauthAuthorization
        case ("auth", 3) where parts[1...] == ["oauth", "callback"]: self = .oauthCallback
        case ("auth", 3) where parts[1...] == ["oauth", "poll"]: self = .oauthPolling
        case ("log", 2):
            switch parts[1] {
            case "head": self = .logHead
            case "entries": self = .logEntries
            case "proof": self = .logProof
            case "consistency": self = .logConsistency
            default: return nil
            }
        default: return nil
        }
    }

    /// What may be done with it, as an `Allow` field lists it.
    var methods: [String] {
        switch self {
        case .health, .openAPI, .presence, .discovery, .oauthProviders, .oauthCallback, .homeHistory, .logHead, .logEntries, .logProof,
            .logConsistency:
            ["GET"]
        case .agents: ["GET", "POST"]
        case .heartbeat, .reputation, .revocation, .succession, .sessionReputation, .verification, .oauthAuthorization,
            .oauthPolling:
            ["POST"]
        case .agent: ["GET", "DELETE"]
        case .prekeys, .home: ["GET", "PUT"]
        }
    }

    /// Decodes `%XX`; nil when malformed or not UTF-8.
    private static func decoded(_ text: Substring.UTF8View) -> String? {
        var bytes: [UInt8] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(nibble), let low = rest.popFirst().flatMap(nibble) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
