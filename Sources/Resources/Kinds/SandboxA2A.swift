/// Which other agents may call an agent, and until when (resources §3, `a2a`).
public struct SandboxA2A: Codable, Sendable, Equatable {
    public struct Caller: Codable, Sendable, Equatable {
        /// RFC 7638.
        public var jwsThumbprint: String
        public var displayName: String?
        public var issuer: String?
    }

    public struct Skill: Codable, Sendable, Equatable {
        public var name: String
        public var description: String?
    }

    /// Of each caller.
    public struct RateLimit: Codable, Sendable, Equatable {
        /// Requests in a minute.
        public var rpm: Int64?
        /// Requests at once.
        public var burst: Int64?
    }

    public var enabled: Bool?
    public var allowedCallers: [Caller]?
    /// RFC 3339.
    public var expiresAt: String?
    public var advertisedSkills: [Skill]?
    /// 0 to 1000.
    public var minimumTrustScore: Int64?
    public var rateLimit: RateLimit?
    public var bodyCapBytes: Int64?
    public var sessionMaxSeconds: Int64?
    public var allowStreaming: Bool?
    /// The A2AAgent whose card is served.
    public var agentRef: OptionalReference?

    func check(_ found: inout SpecProblems) {
        let path = "spec.a2a"
        if enabled == true {
            found.expect(allowedCallers?.isEmpty == false, "\(path).allowedCallers", "is needed when a2a is enabled")
            found.expect(expiresAt != nil, "\(path).expiresAt", "is needed when a2a is enabled")
            found.expect(advertisedSkills?.isEmpty == false, "\(path).advertisedSkills", "is needed when a2a is enabled")
        }
        for (index, caller) in (allowedCallers ?? []).enumerated() {
            found.text(caller.jwsThumbprint, "\(path).allowedCallers[\(index)].jwsThumbprint", .filled)
        }
        found.text(expiresAt, "\(path).expiresAt", .time)
        for (index, skill) in (advertisedSkills ?? []).enumerated() {
            found.text(skill.name, "\(path).advertisedSkills[\(index)].name", .filled)
        }
        found.number(minimumTrustScore, "\(path).minimumTrustScore", 0...1000)
        found.number(rateLimit?.rpm, "\(path).rateLimit.rpm", 1...Int64(Int32.max))
        found.number(rateLimit?.burst, "\(path).rateLimit.burst", 1...Int64(Int32.max))
        found.number(bodyCapBytes, "\(path).bodyCapBytes", 1...4_194_304)
        found.number(sessionMaxSeconds, "\(path).sessionMaxSeconds", 1...600)
        agentRef?.check(&found, at: "\(path).agentRef")
    }
}
