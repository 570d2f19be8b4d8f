import CommandTree
import MeshIdentity
import MeshNode

/// The credentials that an agent is started with: those of its channels, and the keys of services that were given or
/// stored. The provider's is never among them.
struct AgentCredentials {
    /// Variable and value.
    private(set) var values: [String: SecretBytes] = [:]
    /// The channels that are open with them, in the order of the contract.
    private(set) var channels: [String] = []

    /// Resolves each in this order: the option, the stored one, the first stored with a label, and for an enabled
    /// channel the variable of the command's own environment (behaviours §1).
    ///
    /// - Throws: a usage error when a channel lacks its token.
    init(_ invocation: Invocation) throws {
        var labels = try Self.channels(invocation.values("channels"))
        for known in KnownSecret.forAgents where invocation.isGiven(known.key) {
            if let channel = known.channel, labels[channel] == nil { labels[channel] = .some(nil) }
        }
        channels = KnownSecret.Channel.allCases.filter { labels[$0] != nil }.map(\.rawValue)
        let store = try CredentialAccess.load(invocation)
        for known in KnownSecret.forAgents {
            if let channel = known.channel, labels[channel] == nil { continue }
            let label = known.channel.flatMap { labels[$0] ?? nil }
            if let value = Self.resolve(known, label, invocation, store) {
                values[known.variable] = SecretBytes(copying: Array(known.normalised(value.text).utf8))
            } else if let channel = known.channel, !known.isOptional {
                let key = known.key + (label.map { "." + $0 } ?? "")
                throw UsageError.refused(
                    "the channel \(channel.rawValue) needs a token; store it with 'kars credentials set \(key)'"
                        + (label == nil ? " or give --\(known.key)" : ""))
            }
        }
    }

    /// The channels of `--channels`, each with the label of its token where one was written after a dot.
    private static func channels(_ words: [String]) throws(UsageError) -> [KnownSecret.Channel: String?] {
        var labels: [KnownSecret.Channel: String?] = [:]
        for word in words {
            let parts = word.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let channel = KnownSecret.Channel(rawValue: parts[0]) else {
                let names = KnownSecret.Channel.allCases.map(\.rawValue).joined(separator: ", ")
                throw .refused("--channels wants some of \(names), not \(PrintableText.quoted(word))")
            }
            labels[channel] = .some(parts.count > 1 ? parts[1] : nil)
        }
        return labels
    }

    private static func resolve(
        _ known: KnownSecret, _ label: String?, _ invocation: Invocation, _ store: SecretStore
    ) -> SecretBytes? {
        if let given = invocation.value(known.key) { return SecretBytes(copying: Array(given.utf8)) }
        if let label { return store["\(known.key).\(label)"] ?? (known.isOptional ? store[known.key] : nil) }
        if let stored = store[known.key] ?? store.labelled(known.key) { return stored }
        guard known.channel != nil, let value = invocation.environment[known.variable], !value.isEmpty else { return nil }
        return SecretBytes(copying: Array(value.utf8))
    }

    /// As they travel to the node, over its own socket.
    var wire: [String: WireBytes] {
        values.mapValues { value in value.withUnsafeBytes { WireBytes(Array($0)) } }
    }
}
