import CommandTree
import Resources

extension Command {
    /// `kars inferencepolicy`, contract: resources §4.
    static let inferencePolicy = ManagedKind(
        type: InferencePolicySpec.self, command: "inferencepolicy", aliases: ["ip"],
        summary: "Manage which models agents may use, and how much",
        discussion: "An InferencePolicy says which models an agent may use, how many tokens, and from which severity "
            + "content is refused. A KarsSandbox names its own; selectors make others count as well.",
        options: [
            .value("sandbox", "name", help: "Sandbox it counts for"),
            .value(
                "action", "kind", help: "Action it counts for",
                allowed: InferencePolicySpec.Action.allCases.map(\.rawValue)),
            .labels("sandbox-label"),
            .value("token-budget", "n", kind: tokens, help: "Most tokens of a day, input and output"),
            .value("monthly-tokens", "n", kind: tokens, help: "Most tokens of a month"),
            .value("per-request-tokens", "n", kind: tokens, help: "Most tokens of a request"),
            .value("model", "deployment", help: "Deployment of the first model"),
            .value("provider", "name", help: "Provider of --model", defaultValue: "azure-openai"),
            .list(
                "fallback", "provider:deployment", commaSeparated: false,
                help: "Model to try next, in order"),
            .value(
                "content-safety-severity", "severity", help: "Severity from which content of all categories is refused",
                allowed: InferencePolicySpec.Severity.allCases.map(\.rawValue)),
            .flag("require-prompt-shields", help: "Refuse answers that no prompt shield has looked at"),
            .displayName,
        ],
        columns: [
            .init("SANDBOX", "spec", "appliesTo", "sandboxName"),
            .init("MODEL", "spec", "modelPreference", "primary", "deployment"),
            .init("DAILYTOKENS", "spec", "tokenBudget", "dailyTokens"),
        ],
        examples: [
            Example(
                "kars ip apply daily-budget --sandbox my-bot --token-budget 100000 --model gpt-4.1 "
                    + "--fallback azure-openai:gpt-4o-mini", "Bound a sandbox, with a model to fall back to"),
            Example("kars ip apply cs-floor --action '*' --content-safety-severity Medium", "Refuse content from a severity"),
            Example("kars ip apply complex --from-file policy.yaml", "Take it from a file"),
            Example("kars ip list -n kars-system", "List those that sandboxes can refer to"),
        ],
        draft: { invocation throws(UsageError) in
            let says = ["token-budget", "monthly-tokens", "per-request-tokens", "model", "content-safety-severity"]
            guard says.contains(where: invocation.isGiven) else {
                throw .refused("give a --model, a budget of tokens or a --content-safety-severity, or --from-file")
            }
            var draft = SpecDraft(invocation)
            draft.set(["appliesTo"], [:])
            draft.text("sandbox", "appliesTo", "sandboxName")
            draft.text("action", "appliesTo", "action")
            try draft.labels("sandbox-label", "appliesTo", "sandboxMatchLabels")
            try draft.number("token-budget", "tokenBudget", "dailyTokens")
            try draft.number("monthly-tokens", "tokenBudget", "monthlyTokens")
            try draft.number("per-request-tokens", "tokenBudget", "perRequestTokens")
            let fallbacks = invocation.values("fallback")
            if invocation.isGiven("model") {
                draft.text("provider", "modelPreference", "primary", "provider")
                draft.text("model", "modelPreference", "primary", "deployment")
                var models: [JSONValue] = []
                for fallback in fallbacks { models.append(try model(fallback)) }
                if !models.isEmpty { draft.set(["modelPreference", "fallback"], .array(models)) }
            } else if !fallbacks.isEmpty || invocation.isGiven("provider") {
                throw .refused("\(fallbacks.isEmpty ? "--provider" : "--fallback") goes with --model")
            }
            for category in ["hate", "selfHarm", "sexual", "violence"] {
                draft.text("content-safety-severity", "contentSafety", category)
            }
            draft.flag("require-prompt-shields", "contentSafety", "requirePromptShields")
            draft.text("display-name", "displayName")
            return .init(spec: draft.spec)
        },
        isUsed: { object, sandbox in
            if sandbox[path: ["spec", "inferenceRef", "name"]]?.stringValue == object.name { return true }
            return object[path: ["spec", "appliesTo", "sandboxName"]]?.stringValue == sandbox.name
                || sandbox.hasAll(object[path: ["spec", "appliesTo", "sandboxMatchLabels"]])
        }
    ).tree

    private static let tokens = ValueKind.integer(0...Int(Int64.max))

    private static func model(_ text: String) throws(UsageError) -> JSONValue {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
            throw .invalidValue(source: "--fallback", wanted: "provider:deployment", value: text, suggestion: nil)
        }
        return ["provider": .string(String(parts[0])), "deployment": .string(String(parts[1]))]
    }
}
