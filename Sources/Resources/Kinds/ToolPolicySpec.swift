/// Which tools an agent may call, how often, and when a person must agree (resources §5).
public struct ToolPolicySpec: CustomResourceSpec {
    public static let resource = KubernetesResource.toolPolicies

    /// What it bounds; at least one of the three.
    public struct Selector: Codable, Sendable, Equatable {
        /// Name of a tool, `*` for all.
        public var tool: String?
        public var mcpServer: String?
        public var sandboxMatchLabels: [String: String]?
    }

    public struct RateLimit: Codable, Sendable, Equatable {
        /// Calls in a second.
        public var rps: Int64?
        /// Calls at once.
        public var burst: Int64?
        /// What calls are counted over, such as `1m`.
        public var window: String?
    }

    /// Bounds of payments, each a currency and an amount such as `EUR 20.00`.
    public struct Commerce: Codable, Sendable, Equatable {
        public var dailyCap: String?
        public var monthlyCap: String?
        public var perTransferCap: String?
        /// Who may be paid; nobody when it is empty.
        public var counterpartyAllowlist: [String]?
    }

    public enum ApprovalMode: String, ClosedChoice {
        case never, always, aboveThreshold
    }

    public struct Approval: Codable, Sendable, Equatable {
        public var mode: ApprovalMode?
        public var threshold: String?
        /// Where the person is asked.
        public var channel: String?
    }

    /// The profile a router evaluates: one of both.
    public struct Profile: Codable, Sendable, Equatable {
        /// YAML.
        public var inline: String?
        public var bundleRef: ArtifactReference?
    }

    public var appliesTo: Selector
    public var displayName: String?
    public var rateLimit: RateLimit?
    public var commerce: Commerce?
    public var approval: Approval?
    public var agtProfile: Profile?

    public func check(_ found: inout SpecProblems) {
        found.expect(
            appliesTo.tool?.isEmpty == false || appliesTo.mcpServer?.isEmpty == false
                || appliesTo.sandboxMatchLabels?.isEmpty == false, "spec.appliesTo",
            "must name a tool, an mcpServer or labels of sandboxes")
        found.number(rateLimit?.rps, "spec.rateLimit.rps", .unsigned32)
        found.number(rateLimit?.burst, "spec.rateLimit.burst", .unsigned32)
        found.text(rateLimit?.window, "spec.rateLimit.window", .window)
        found.text(commerce?.dailyCap, "spec.commerce.dailyCap", .money)
        found.text(commerce?.monthlyCap, "spec.commerce.monthlyCap", .money)
        found.text(commerce?.perTransferCap, "spec.commerce.perTransferCap", .money)
        if let month = commerce?.monthlyCap.flatMap(Money.init), let day = commerce?.dailyCap.flatMap(Money.init) {
            found.expect(month.currency == day.currency, "spec.commerce.monthlyCap", "must be in the currency of dailyCap")
            found.expect(
                month.currency != day.currency || month >= day, "spec.commerce.monthlyCap", "must not be below dailyCap")
        }
        found.expect(
            approval?.threshold == nil || approval?.mode == .aboveThreshold, "spec.approval.threshold",
            "goes with the mode aboveThreshold alone")
        if let profile = agtProfile {
            found.expect(
                profile.inline == nil || profile.bundleRef == nil, "spec.agtProfile", "must not have inline and bundleRef both")
            profile.bundleRef?.check(&found, at: "spec.agtProfile.bundleRef")
        }
    }
}

/// An amount of money, its digits as text: it may have more than a number holds.
private struct Money {
    let currency: Substring
    private let digits: Substring

    init?(_ text: String) {
        guard TextForm.money.holds(text) else { return nil }
        currency = text.prefix(3)
        digits = text.dropFirst(4).drop { $0 == "0" }
    }

    static func >= (left: Money, right: Money) -> Bool {
        left.digits.utf8.count != right.digits.utf8.count
            ? left.digits.utf8.count > right.digits.utf8.count : left.digits >= right.digits
    }
}
