/// A pairing token that was issued, or the pairing it became (resources §10).
public struct KarsPairingSpec: CustomResourceSpec {
    public static let resource = KubernetesResource.karsPairings

    /// SHA-256 of the secret, hex.
    public var tokenHash: String
    /// RFC 3339.
    public var expiresAt: String
    public var slotsMax: Int64?
    public var tokenBudget: Int64?
    public var capabilities: [String]?
    public var displayName: String?
    public var model: String?
    public var isolation: KarsSandboxSpec.Isolation?

    public func check(_ found: inout SpecProblems) {
        found.expect(
            tokenHash.wholeMatch(of: /[a-f0-9]{64}/) != nil, "spec.tokenHash", "must be 64 digits of lower-case hex")
        found.text(expiresAt, "spec.expiresAt", .time)
        found.number(slotsMax, "spec.slotsMax", 1...Int64.max)
        found.number(tokenBudget, "spec.tokenBudget", .unsigned64)
    }
}
