import CommandTree
import MeshNode
import Sandboxes

extension Command {
    /// `kars dev`
    static let dev = Command(
        "dev", summary: "Run an agent in a sandbox on this machine",
        discussion: """
            Starts what is missing in the background: a registry, a relay and a node, which 'kars node stop' ends \
            again. Then it makes a sandbox and starts the agent in it; one that is there already is attached to. \
            Clients reach the agent at the printed URL, with the token of the printed file as bearer token.

            On a terminal the first run asks who answers model calls, and keeps the answer. The agent is told its \
            model; there is no inference router yet that would carry its calls, so the reference agent, which answers \
            without a model, is what runs.

            --build makes an image from the Dockerfile of a folder with the Docker engine of this machine, and runs it. A \
            Dockerfile may begin 'FROM kars-sandbox-base:dev': that image holds kars and the reference agent, is made \
            when it is not there, and is made anew with --build-base, which alone runs the reference agent in it. It is \
            built on nothing and fetches nothing, unless --base-image names what it is to be put on.
            """,
        options: [
            .value("name", "name", help: "Name of the sandbox", defaultValue: "dev-agent"),
            .value("workspace", "dir", kind: .directory, help: "Folder whose content the agent starts with"),
            .value("model", "model", help: "Model the agent is told to use", defaultNote: "the configured one"),
            .value(
                "policy", "preset", help: "Policy preset", defaultValue: "developer", allowed: AgentOptions.policies),
            .value(
                "target", "target", help: "Where the sandbox runs", defaultValue: "docker",
                allowed: ["docker", "local-k8s"]),
            .value("cluster-name", "name", help: "Kind cluster of --target local-k8s", defaultValue: "kars-dev"),
            .flag("ephemeral", help: "Remove the cluster of --target local-k8s at the end"),
            .value("github-token", "pat", help: "Use GitHub Models this once, without keeping the choice"),
            .value("image", "image", help: "Container image of the sandbox", defaultNote: "the reference agent's"),
            .flag("build", help: "Build the image from a Dockerfile first; --image gives it a name"),
            .value(
                "build-folder", "dir", kind: .directory, help: "Folder of the Dockerfile, and of the files it copies",
                defaultNote: "the current one"),
            .flag("build-base", help: "Build the base image kars-sandbox-base:dev anew"),
            .value("base-image", "image", help: "Image that the base image is put on", defaultNote: "none"),
            .value("mesh-provider", "provider", help: "Mesh stack", defaultValue: "agt", allowed: ["agt"]),
            .value(
                "agt-repo", "path", kind: .directory, help: "Checkout that mesh images would be built from",
                environment: "KARS_AGT_REPO"),
            .value("agt-sdk-tarball", "path", kind: .file, help: "Package to install in the sandbox's image"),
            .flag("no-mesh", help: "Leave relay and registry out, with --target local-k8s"),
            .value(
                "global-registry", "url", kind: .url(schemes: ["http", "https"]),
                help: "Join the mesh of this registry instead of starting one"),
            AgentOptions.channels, AgentOptions.skillList,
        ] + AgentOptions.credentials + NodeConnection.options,
        examples: [
            Example("kars dev", "Start an agent called dev-agent"),
            Example("kars dev --name researcher --workspace ./notes", "Give it files to start with"),
            Example("kars dev --build --build-folder ./my-agent", "Run an agent of your own"),
            Example("kars dev --name my-bot --channels telegram", "Let it use the stored Telegram token"),
        ],
        environment: [KarsHome.variable], group: "Lifecycle", later: ["down"]
    ) { invocation in
        try Unsupported.refuse(notInDev, invocation)
        let mesh = try MeshChoice.read(invocation)
        let credentials = try AgentCredentials(invocation)
        let name = invocation.value("name") ?? "dev-agent"
        let build = try ImageBuild(invocation, sandbox: name)
        var image = invocation.value("image")
        // Who builds an agent knows whether it asks a model.
        let configuration = try await FirstRun.configuration(invocation, needsModel: image != nil && build == nil)
        let settings = AgentSettings(
            model: invocation.value("model") ?? configuration?.effectiveModel,
            provider: configuration?.provider?.rawValue, policy: invocation.value("policy"),
            channels: credentials.channels, skills: invocation.values("skills"))
        var runtime = image == nil ? nil : AgentRuntime.openClaw.kind
        try await build?.check(invocation)
        try await NodeStart.ensure(invocation, mesh: mesh)
        if let build {
            let built = try await build.run(invocation)
            image = built.image
            runtime = built.keepsContract ? AgentRuntime.byo.kind : AgentRuntime.openClaw.kind
        }
        try await AgentStart(
            request: CreateSandbox(
                sandboxName: name,
                workspace: invocation.value("workspace").map(absolutePath),
                runtime: runtime, image: image, settings: settings,
                credentials: credentials.wire)
        ).run(invocation)
    }

    private static let noKind = "it needs kind and kars' Helm chart, which this version does not bring"

    private static let notInDev: [Unsupported] = [
        .value("target", "local-k8s", noKind),
        .given("cluster-name", noKind), .given("ephemeral", noKind), .given("no-mesh", noKind),
        .given("github-token", Unsupported.noRouter),
        .given("agt-repo", "relay and registry are kars' own and need no images to be built"),
        .given("agt-sdk-tarball", "no image that is built here holds a package to be replaced; a Dockerfile can install it"),
    ]
}
