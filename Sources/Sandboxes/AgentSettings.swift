/// What the operator chose for an agent, beside what confines it. It is part of the specification, so it goes
/// along when the agent moves.
public struct AgentSettings: Codable, Sendable, Equatable {
    /// Longest of a text, most of a list.
    static let maximumTextBytes = 128
    static let maximumCount = 16

    /// The model's name at its provider.
    public var model: String?
    /// Who answers its calls, such as `github-copilot`.
    public var provider: String?
    /// The preset of its policy, such as `developer`.
    public var policy: String?
    /// `standard`, `enhanced` or `confidential`.
    public var isolation: String?
    /// Ways to talk to it from outside, such as `telegram`.
    public var channels: [String]
    /// What it can do beside talking, such as `browser`.
    public var skills: [String]
    /// Whether it asks for leave before each tool call.
    public var governance: Bool?
    /// Least trust of other agents, 0 to 1000.
    public var trustThreshold: Int?

    public init(
        model: String? = nil, provider: String? = nil, policy: String? = nil, isolation: String? = nil,
        channels: [String] = [], skills: [String] = [], governance: Bool? = nil, trustThreshold: Int? = nil
    ) {
        self.model = model
        self.provider = provider
        self.policy = policy
        self.isolation = isolation
        self.channels = channels
        self.skills = skills
        self.governance = governance
        self.trustThreshold = trustThreshold
    }

    /// The variables that tell the agent (runtime contract v1).
    public var variables: [String: String] {
        var variables: [String: String] = [:]
        // The second is the name that OpenClaw knows.
        variables["KARS_MODEL"] = model
        variables["OPENCLAW_MODEL"] = model
        variables["KARS_PROVIDER"] = provider
        variables["AGT_GOVERNANCE_ENABLED"] = governance.map { $0 ? "true" : "false" }
        variables["AGT_TRUST_THRESHOLD"] = trustThreshold.map(String.init)
        variables["WHATSAPP_ENABLED"] = channels.contains("whatsapp") ? "true" : nil
        // Ours: the public images find out by the variables of tokens, which never hold one here.
        variables["KARS_CHANNELS"] = channels.isEmpty ? nil : channels.joined(separator: ",")
        variables["KARS_SKILLS"] = skills.isEmpty ? nil : skills.joined(separator: ",")
        return variables
    }

    /// What breaks a bound, as it follows "has"; they come from other peers too.
    var problem: String? {
        let texts = [model, provider, policy, isolation].compactMap(\.self) + channels + skills
        guard texts.allSatisfy({ (1...Self.maximumTextBytes).contains($0.utf8.count) && Self.isPlain($0) }) else {
            return "a setting that is not 1 to \(Self.maximumTextBytes) visible characters"
        }
        guard channels.count <= Self.maximumCount, skills.count <= Self.maximumCount else {
            return "more than \(Self.maximumCount) channels or skills"
        }
        guard trustThreshold.map((0...1000).contains) ?? true else { return "a trust threshold outside 0 to 1000" }
        return nil
    }

    private static func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { (0x21...0x7e).contains($0) } }
}
