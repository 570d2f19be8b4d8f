import MeshIdentity

/// What a KNOCK must bring besides a proven key (AgentMesh wire §6).
public struct KnockRules: Sendable {
    /// Least trust of the sender, 0 to 1000: its reputation score times 1000.
    public var trustThreshold: Double
    /// What this peer can do; an intent that requires something else is refused.
    public var capabilities: Set<String>
    /// Actions an intent may name; nil allows all.
    public var allowedActions: Set<String>?
    /// Whether the sender must have signed this very KNOCK. Published clients do not.
    public var requiresBinding: Bool
    /// Sent with every acceptance.
    public var conditions: KnockAcceptFrame.Conditions?

    public init(
        trustThreshold: Double = 0, capabilities: Set<String> = [], allowedActions: Set<String>? = nil,
        requiresBinding: Bool = false, conditions: KnockAcceptFrame.Conditions? = nil
    ) {
        self.trustThreshold = trustThreshold
        self.capabilities = capabilities
        self.allowedActions = allowedActions
        self.requiresBinding = requiresBinding
        self.conditions = conditions
    }

    /// - Parameter sender: as the registry knows it; nil when it does not.
    public func decide(_ knock: IncomingKnock, sender: RegisteredAgent?) -> KnockDecision {
        guard let sender else { return .reject(reason: "not_registered") }
        guard !sender.isRevoked(knock.peer.key) else { return .reject(reason: "revoked") }
        if requiresBinding, !knock.isBound { return .reject(reason: "signature_required") }
        let trust = (sender.reputationScore ?? 0) * 1000
        // A minimum that is no number asks for more than anyone has.
        let least = max(trustThreshold, knock.intent.trustMinimum ?? 0)
        guard trust >= least else { return .reject(reason: "insufficient_trust") }
        guard capabilities.isSuperset(of: knock.intent.capabilitiesRequired ?? []) else {
            return .reject(reason: "missing_capability")
        }
        guard allowedActions?.contains(knock.intent.action) ?? true else {
            return .reject(reason: "policy_denied")
        }
        return .accept(conditions: conditions)
    }
}
