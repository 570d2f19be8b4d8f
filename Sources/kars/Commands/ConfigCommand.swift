import CommandTree
import Glibc
import MeshNode

extension Command {
    /// `kars config`
    static let config = Command(
        "config", summary: "Show and change which provider and model are used here",
        subcommands: [.configShow, .configModel, .configReset],
        examples: [
            Example("kars config show", "See what is in force"),
            Example("kars config model gpt-4.1", "Use another model from now on"),
        ],
        group: "Configuration")

    private static let configShow = Command(
        "show", summary: "Print the provider, endpoint and model in force",
        discussion: "For GitHub Models it also asks the live catalogue whether the model is there and can call tools.",
        options: [OutputFormat.option],
        examples: [Example("kars config show -o json", "Read it with a program")],
        environment: [KarsHome.variable]
    ) { invocation in
        let home = try KarsHome(invocation.environment)
        let facts = try await ConfigurationFacts(
            file: LocalConfiguration.path(in: home), configuration: try LocalConfiguration.load(home),
            secrets: try CredentialAccess.load(invocation))
        try OutputFormat.print(facts, invocation) { facts.text }
    }

    private static let configModel = Command(
        "model", summary: "Choose the model that agents use by default",
        discussion: """
            Without a model it offers those of the provider: the usual ones of GitHub Copilot, the live catalogue of \
            GitHub Models, or a free name for a Foundry deployment.
            """,
        arguments: [Argument("model-id", help: "The model; asked for when left out", isOptional: true)],
        examples: [
            Example("kars config model", "Pick one from a list"),
            Example("kars config model claude-opus-4.7", "Set it directly"),
        ],
        environment: [KarsHome.variable]
    ) { invocation in
        let home = try KarsHome(invocation.environment)
        guard var configuration = try LocalConfiguration.load(home), let provider = configuration.provider else {
            throw OperationFailure(
                .notFound, "no provider is chosen, so there is nothing to choose a model of",
                hint: "choose one with 'kars credentials'")
        }
        let catalogue = await liveCatalogue(configuration, invocation)
        let model: String
        if let typed = invocation.argument("model-id") {
            if let complaint = ProviderSetup.modelComplaint(typed) { throw UsageError.refused(complaint) }
            try check(typed, provider, catalogue)
            model = typed
        } else {
            model = try pick(provider, configuration.effectiveModel, catalogue)
        }
        configuration.model = model
        try configuration.save(home)
        try Console.line("the default model is \(model)")
    }

    private static let configReset = Command(
        "reset", summary: "Forget provider, endpoint and model",
        discussion: "Credentials stay; 'kars credentials remove' forgets one of those.",
        options: [
            .flag("first-run", help: "Forget only that the first run's question was answered, so that it comes again")
        ],
        examples: [Example("kars config reset", "Start over")],
        environment: [KarsHome.variable]
    ) { invocation in
        let home = try KarsHome(invocation.environment)
        if invocation.flag("first-run") {
            guard var configuration = try LocalConfiguration.load(home) else {
                return try Console.line("nothing was configured")
            }
            configuration.firstRunCompleted = false
            try configuration.save(home)
            return try Console.line("the next 'kars dev' on a terminal asks again")
        }
        let path = LocalConfiguration.path(in: home)
        guard unlink(path) == 0 else {
            guard errno == ENOENT else {
                throw OperationFailure(.failed, "cannot remove \(path): \(String(cString: strerror(errno)))")
            }
            return try Console.line("nothing was configured")
        }
        try Console.line("removed \(path)")
    }

    /// The catalogue of GitHub Models; nil for other providers, and with a warning when it cannot be had.
    private static func liveCatalogue(
        _ configuration: LocalConfiguration, _ invocation: Invocation
    ) async -> ModelCatalogue? {
        guard configuration.provider == .gitHubModels, let endpoint = configuration.effectiveEndpoint else { return nil }
        do {
            let token = try CredentialAccess.load(invocation)[KnownSecret.provider.key]?.text
            return try await ModelCatalogue.fetch(endpoint: endpoint, token: token)
        } catch {
            Console.complain("warning: \(PrintableText.escaped("\(error)")); the model is not checked")
            return nil
        }
    }

    private static func check(
        _ model: String, _ provider: InferenceProvider, _ catalogue: ModelCatalogue?
    ) throws(UsageError) {
        if provider == .gitHubCopilot, !InferenceProvider.copilotModels.contains(model) {
            Console.complain(
                "warning: \(PrintableText.quoted(model)) is not among the usual models of GitHub Copilot; "
                    + "whether your seat has it shows at the first call")
        }
        guard let catalogue else { return }
        guard let entry = catalogue.entry(model) else {
            throw .refused("the catalogue of GitHub Models has no \(PrintableText.quoted(model)); 'kars config model' lists it")
        }
        guard entry.callsTools else {
            throw .refused("\(entry.id) cannot call tools, which an agent needs; 'kars config model' lists those that can")
        }
    }

    private static func pick(
        _ provider: InferenceProvider, _ current: String?, _ catalogue: ModelCatalogue?
    ) throws -> String {
        guard Console.isInteractive else {
            throw UsageError.refused("there is no terminal to pick a model on; give it as in 'kars config model <model-id>'")
        }
        let models = provider == .gitHubCopilot ? InferenceProvider.copilotModels : catalogue?.usable ?? []
        guard !models.isEmpty else {
            return try Question.text("Model", defaultValue: current, check: ProviderSetup.modelComplaint)
        }
        // The present one first, since an empty answer takes the first.
        let ordered = models.filter { $0 == current } + models.filter { $0 != current }
        return ordered[try Question.choice("Which model?", ordered.map { (name: $0, note: $0 == current ? "now" : "") })]
    }
}

/// What `kars config show` prints.
private struct ConfigurationFacts: Encodable {
    let file: String
    let provider: String?
    let endpoint: String?
    let model: String?
    let foundryProjectEndpoint: String?
    let firstRunCompleted: Bool
    /// Whether a credential of the provider is stored.
    let credentialStored: Bool
    /// What the live catalogue says of the model; GitHub Models only.
    let modelCheck: String?

    init(file: String, configuration: LocalConfiguration?, secrets: SecretStore) async throws {
        self.file = file
        provider = configuration?.provider?.rawValue
        endpoint = configuration?.effectiveEndpoint
        model = configuration?.effectiveModel
        foundryProjectEndpoint = configuration?.foundryProjectEndpoint
        firstRunCompleted = configuration?.firstRunCompleted ?? false
        credentialStored = secrets[KnownSecret.provider.key] != nil
        guard configuration?.provider == .gitHubModels, let endpoint, let model else {
            modelCheck = nil
            return
        }
        do {
            let catalogue = try await ModelCatalogue.fetch(
                endpoint: endpoint, token: secrets[KnownSecret.provider.key]?.text)
            switch catalogue.entry(model) {
            case nil: modelCheck = "not in the catalogue; choose another with 'kars config model'"
            case let entry? where !entry.callsTools: modelCheck = "cannot call tools, which an agent needs"
            default: modelCheck = "in the catalogue"
            }
        } catch {
            modelCheck = "not checked: \(error)"
        }
    }

    var text: String {
        guard provider != nil else {
            return firstRunCompleted
                ? "No provider: the reference agent answers without a model.\n"
                : "Nothing is configured yet; 'kars credentials' asks what is needed.\n"
        }
        var rows = [
            ("Provider", provider ?? "-"), ("Endpoint", endpoint ?? "-"), ("Model", model ?? "-"),
            ("Credential", credentialStored ? "stored" : "missing; store it with 'kars credentials'"),
        ]
        if let foundryProjectEndpoint { rows.append(("Foundry project", foundryProjectEndpoint)) }
        if let modelCheck { rows.append(("Catalogue", PrintableText.escaped(modelCheck))) }
        return facts(rows + [("File", file)])
    }
}
