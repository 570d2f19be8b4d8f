import CommandTree
import MeshIdentity
import Transport

/// Asks which provider answers model calls, and for what it needs.
enum ProviderSetup {
    /// The answers, complete and not stored yet.
    struct Chosen {
        var configuration: LocalConfiguration
        var credential: SecretBytes
    }

    /// - Parameter offersNone: whether "none" is an answer.
    /// - Returns: nil for none.
    static func ask(_ current: LocalConfiguration?, offersNone: Bool) async throws -> Chosen? {
        var choices = InferenceProvider.allCases.map { (name: $0.title, note: $0.need) }
        if offersNone { choices.append((name: "None", note: "the reference agent answers without a model")) }
        let index = try Question.choice("Who answers model calls?", choices)
        guard index < InferenceProvider.allCases.count else { return nil }
        let provider = InferenceProvider.allCases[index]
        var configuration = LocalConfiguration(provider: provider)
        let kept = current?.provider == provider ? current : nil
        configuration.endpoint = provider.endpoint
        if provider == .foundry {
            configuration.endpoint = try Question.text(
                "Endpoint, such as https://name.openai.azure.com", defaultValue: kept?.endpoint, check: complaint)
            configuration.foundryProjectEndpoint = kept?.foundryProjectEndpoint
        }
        let credential: SecretBytes
        switch provider {
        case .gitHubCopilot: credential = try await signIn()
        case .foundry: credential = try SecretPrompt.required("API key (not shown)")
        case .gitHubModels: credential = try SecretPrompt.required("GitHub token with models:read (not shown)")
        }
        configuration.model = try Question.text(
            "Model", defaultValue: kept?.model ?? provider.defaultModel, check: modelComplaint)
        configuration.firstRunCompleted = true
        return Chosen(configuration: configuration, credential: credential)
    }

    /// Stores the answers, the credential first: a configuration without its credential would be half a choice.
    static func store(_ chosen: Chosen, _ invocation: Invocation) throws {
        try CredentialAccess.change(invocation) { store in
            try store.set(KnownSecret.provider.key, chosen.credential)
            return true
        }
        try chosen.configuration.save(KarsHome(invocation.environment))
    }

    private static func signIn() async throws -> SecretBytes {
        try await DeviceSignIn.copilot.run { code in
            Console.complain(
                "Open \(PrintableText.escaped(code.verification_uri)) and enter the code "
                    + "\(PrintableText.escaped(code.user_code)). Waiting for it …")
        }
    }

    /// What is wrong with an endpoint; nil when nothing is.
    static func complaint(_ endpoint: String) -> String? {
        guard let url = try? ServiceURL(parsing: endpoint), url.scheme == .https || url.scheme == .http else {
            return "An endpoint is a URL that starts with https://."
        }
        if case .tcp(let host, _) = url.place, url.scheme == .http, host != "127.0.0.1", host != "localhost" {
            return "A key must not travel in plain text: the endpoint needs https://."
        }
        return nil
    }

    /// What is wrong with the name of a model; nil when nothing is.
    static func modelComplaint(_ model: String) -> String? {
        let isFine = (1...128).contains(model.utf8.count)
            && model.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"\"\\".utf8.contains($0) }
        return isFine ? nil : "The name of a model is 1 to 128 visible characters without blanks and quotes."
    }
}
