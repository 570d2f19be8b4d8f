/// Which models an agent may use, how much, and what is filtered (resources §4).
public struct InferencePolicySpec: CustomResourceSpec {
    public static let resource = KubernetesResource.inferencePolicies

    public enum Action: String, ClosedChoice {
        case chat, responses, image, embeddings
        case any = "*"
    }

    /// What of it must match; all of it empty matches anything.
    public struct Selector: Codable, Sendable, Equatable {
        public var sandboxName: String?
        public var sandboxMatchLabels: [String: String]?
        public var action: Action?
    }

    public struct Model: Codable, Sendable, Equatable {
        public var provider: String
        public var deployment: String

        func check(_ found: inout SpecProblems, at path: String) {
            found.text(provider, "\(path).provider", .filled)
            found.text(deployment, "\(path).deployment", .filled)
        }
    }

    public struct ModelPreference: Codable, Sendable, Equatable {
        public var primary: Model
        /// In the order they are tried.
        public var fallback: [Model]?
    }

    /// Tokens, input and output together.
    public struct TokenBudget: Codable, Sendable, Equatable {
        public var perRequestTokens: Int64?
        public var dailyTokens: Int64?
        public var monthlyTokens: Int64?
    }

    /// From which severity a category is refused.
    public enum Severity: String, ClosedChoice {
        case safe = "Safe"
        case low = "Low"
        case medium = "Medium"
        case high = "High"
    }

    public struct ContentSafety: Codable, Sendable, Equatable {
        public var hate: Severity?
        public var selfHarm: Severity?
        public var sexual: Severity?
        public var violence: Severity?
        public var requirePromptShields: Bool?
    }

    public var appliesTo: Selector
    public var modelPreference: ModelPreference?
    public var tokenBudget: TokenBudget?
    public var contentSafety: ContentSafety?
    public var displayName: String?
    public var bundleRef: ArtifactReference?

    public func check(_ found: inout SpecProblems) {
        modelPreference?.primary.check(&found, at: "spec.modelPreference.primary")
        for (index, model) in (modelPreference?.fallback ?? []).enumerated() {
            model.check(&found, at: "spec.modelPreference.fallback[\(index)]")
        }
        if let budget = tokenBudget {
            found.number(budget.perRequestTokens, "spec.tokenBudget.perRequestTokens", .unsigned64)
            found.number(budget.dailyTokens, "spec.tokenBudget.dailyTokens", .unsigned64)
            found.number(budget.monthlyTokens, "spec.tokenBudget.monthlyTokens", .unsigned64)
            if let month = budget.monthlyTokens {
                found.expect(
                    month >= budget.dailyTokens ?? 0, "spec.tokenBudget.monthlyTokens", "must not be below dailyTokens")
                found.expect(
                    month >= budget.perRequestTokens ?? 0, "spec.tokenBudget.monthlyTokens",
                    "must not be below perRequestTokens")
            }
        }
        found.alone(
            bundleRef,
            beside: [
                ("tokenBudget", tokenBudget != nil), ("contentSafety", contentSafety != nil),
                ("modelPreference", modelPreference != nil), ("displayName", displayName != nil),
            ])
    }
}
