import CommandTree

/// Options of the contract that this version reads and cannot honour. Each says what is missing; none is ignored.
struct Unsupported {
    let option: String
    let isAsked: @Sendable (Invocation) -> Bool
    let reason: String

    /// An option that is refused whenever it is given.
    static func given(_ option: String, _ reason: String) -> Unsupported {
        Unsupported(option: option, isAsked: { $0.isGiven(option) && ($0.value(option) != "false") }, reason: reason)
    }

    /// An option of which one value is refused.
    static func value(_ option: String, _ value: String, _ reason: String) -> Unsupported {
        Unsupported(option: "\(option) \(value)", isAsked: { $0.value(option) == value }, reason: reason)
    }

    static let noRouter = "there is no inference router yet, so no agent can call a model"

    /// - Throws: a usage error for the first that was asked for.
    static func refuse(_ all: [Unsupported], _ invocation: Invocation) throws(UsageError) {
        for one in all where one.isAsked(invocation) {
            throw .refused("--\(one.option) cannot work in this version: \(one.reason)")
        }
    }
}
