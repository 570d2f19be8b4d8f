import CommandTree
import MeshIdentity
import MeshNode

extension Command {
    /// `kars credentials update`
    static let credentialsUpdate = Command(
        "update", summary: "Change the credentials of an agent that runs",
        discussion: """
            The agent's files are replaced at once, and the agent is started anew, because most read them only then; \
            its clients' requests wait for it. Without a credential option, every stored credential of a kind that the \
            agent has is given to it again. Other users of this machine can see the words of a command line: a value \
            stored with 'kars credentials set' and handed on without an option is hidden from them.
            """,
        arguments: [.sandbox],
        options: AgentOptions.credentials + [
            .flag("no-restart", help: "Only replace the files")
        ] + NodeConnection.options,
        examples: [
            Example("kars credentials update my-agent", "Hand on what was stored since"),
            Example("kars credentials update my-agent --brave-api-key $KEY --no-restart", "Replace one file"),
        ],
        environment: [KarsHome.variable, PassphrasePrompt.variable]
    ) { invocation in
        let name = invocation.required("name")
        var values: [String: SecretBytes] = [:]
        for known in KnownSecret.forAgents {
            guard let given = invocation.value(known.key) else { continue }
            values[known.variable] = SecretBytes(copying: Array(known.normalised(given).utf8))
        }
        if values.isEmpty { values = try await storedAnew(name, invocation) }
        let answer = try await NodeConnection.call(
            UpdateCredentials(
                sandboxName: name, credentials: values.mapValues { value in value.withUnsafeBytes { WireBytes(Array($0)) } },
                restart: !invocation.flag("no-restart")),
            invocation)
        try OutputFormat.print(answer, invocation) {
            "updated \(values.keys.sorted().joined(separator: ", ")) of \(name)"
                + (answer.restarted ? " and started it anew\n" : "\n")
        }
    }

    /// The stored values of what the agent has already.
    private static func storedAnew(_ name: String, _ invocation: Invocation) async throws -> [String: SecretBytes] {
        let has = try await NodeConnection.call(SandboxStatus(sandboxName: name), invocation).credentials ?? []
        let store = try CredentialAccess.load(invocation)
        var values: [String: SecretBytes] = [:]
        for known in KnownSecret.forAgents where has.contains(known.variable) {
            values[known.variable] = store[known.key] ?? store.labelled(known.key)
        }
        guard !values.isEmpty else {
            throw UsageError.refused("nothing stored is of a kind that \(name) has; give one, as in --telegram-token <token>")
        }
        return values
    }
}
