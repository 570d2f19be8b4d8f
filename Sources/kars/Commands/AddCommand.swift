import CommandTree
import MeshNode
import Sandboxes

extension Command {
    /// `kars add`
    static let add = Command(
        "add", summary: "Add an agent with a runtime of its own",
        discussion: """
            Makes a sandbox at the node of this machine, which is started in the background when none runs. The \
            runtime byo without an image is the reference agent that comes with kars; every other runtime needs its \
            container image.
            """,
        arguments: [Argument("name", help: "Name of the new agent")],
        options: [
            .value("model", "model", help: "Model the agent is told to use", defaultNote: "the configured one, else gpt-4.1"),
            .value(
                "isolation", "level", help: "How strictly it is confined", defaultValue: "enhanced",
                allowed: ["standard", "enhanced", "confidential"]),
            .value(
                "token-budget-daily", "tokens", kind: .integer(0...1_000_000_000_000),
                help: "Model tokens a day; 0 is without limit", defaultValue: "0"),
            .value(
                "token-budget-per-request", "tokens", kind: .integer(0...1_000_000_000_000),
                help: "Model tokens a request; 0 is without limit", defaultValue: "0"),
            .value("agent-instructions", "instructions", help: "System prompt of a Foundry agent"),
            .list("agent-tools", "tools", help: "Tools of a Foundry agent", allowed: ["file_search", "web_search", "code_interpreter"]),
            .value("image", "image", help: "Container image of the sandbox", defaultNote: "the runtime's"),
            .flag("governance", negatable: true, isOn: true, help: "The agent asks for leave before each tool call"),
            .value(
                "trust-threshold", "score", kind: .integer(0...1000), help: "Least trust of other agents",
                defaultValue: "500"),
            .value("policy-profile", "profile", help: "Tool policy profile", defaultValue: "default"),
            AgentOptions.channels, AgentOptions.skillList,
        ] + AgentOptions.credentials + [
            .flag("learn-egress", help: "Note all hosts it asks for, to be reviewed with 'kars egress'"),
            .value(
                "runtime", "kind", help: "What runs inside", defaultValue: AgentRuntime.openClaw.rawValue,
                allowed: AgentRuntime.allCases.map(\.rawValue)),
            .value("byo-image", "image", help: "Container image of --runtime byo, which must declare org.kars.runtime.contract=v1"),
            .value("byo-contract-version", "version", help: "Contract of --runtime byo", defaultValue: "v1", allowed: ["v1"]),
            .value("maf-language", "lang", help: "Language of Microsoft Agent Framework", defaultValue: "python", allowed: ["python"]),
            .flag("dry-run", help: "Print the KarsSandbox as YAML, and make nothing"),
        ] + NodeConnection.options,
        examples: [
            Example("kars add helper --runtime byo", "Add a reference agent"),
            Example("kars add my-agent --runtime byo --byo-image registry.example/my-agent:1", "Add one of your own"),
            Example("kars add reviewer --dry-run", "See the KarsSandbox that describes it"),
        ],
        environment: [KarsHome.variable], group: "Lifecycle"
    ) { invocation in
        try Unsupported.refuse(notInAdd, invocation)
        let runtime = invocation.value("runtime").flatMap(AgentRuntime.init) ?? .openClaw
        guard runtime == .byo || !invocation.isGiven("byo-image") else {
            throw UsageError.refused("--byo-image is for --runtime byo; --image replaces the image of \(runtime.rawValue)")
        }
        let credentials = try AgentCredentials(invocation)
        let configuration = try LocalConfiguration.load(KarsHome(invocation.environment))
        let settings = AgentSettings(
            model: invocation.value("model") ?? configuration?.effectiveModel ?? "gpt-4.1",
            provider: configuration?.provider?.rawValue, isolation: invocation.value("isolation"),
            channels: credentials.channels, skills: invocation.values("skills"),
            governance: invocation.flag("governance"), trustThreshold: try invocation.integer("trust-threshold"))
        if invocation.flag("dry-run") {
            return try AgentManifest(
                name: invocation.required("name"), runtime: runtime,
                image: invocation.value("image") ?? invocation.value("byo-image"), settings: settings
            ).print(invocation)
        }
        try await NodeStart.ensure(invocation)
        let request = CreateSandbox(
            sandboxName: invocation.required("name"), runtime: runtime.kind,
            image: invocation.value("image") ?? invocation.value("byo-image") ?? runtime.image, settings: settings,
            credentials: credentials.wire)
        try await NodeConnection.open(invocation) { node in
            try await AgentStart(request: request).fetchImage(node)
            let sandbox = try await node.call(request)
            try AgentStart.report(sandbox, "is \(sandbox.status)", invocation)
        }
    }

    private static let notInAdd: [Unsupported] = [
        .value("isolation", "confidential", "it needs a cluster with Kata virtual machines"),
        Unsupported(
            option: "token-budget-daily", isAsked: { $0.value("token-budget-daily") != "0" },
            reason: Unsupported.noRouter + ", and nothing counts tokens"),
        Unsupported(
            option: "token-budget-per-request", isAsked: { $0.value("token-budget-per-request") != "0" },
            reason: Unsupported.noRouter + ", and nothing counts tokens"),
        .given("agent-instructions", "Foundry agents are reached through the inference router, which is not there yet"),
        .given("agent-tools", "Foundry agents are reached through the inference router, which is not there yet"),
        Unsupported(
            option: "policy-profile", isAsked: { $0.value("policy-profile") != "default" },
            reason: "there are no policy profiles yet"),
        .given("learn-egress", "an agent has no network, and nothing that would learn"),
    ]
}
