import CommandTree
import MeshNode

extension Command {
    /// `kars dev`
    static let dev = Command(
        "dev", summary: "Run an agent in a sandbox on this machine",
        discussion: """
            Makes a sandbox at the node of this machine and starts the agent in it. Clients reach the \
            agent at the printed URL, with the token of the printed file as bearer token.
            """,
        options: [
            .value("name", "name", help: "Name of the sandbox", defaultValue: "dev-agent"),
            .value("workspace", "dir", kind: .directory, help: "Folder whose content the agent starts with"),
        ] + NodeConnection.options,
        examples: [
            Example("kars dev", "Start an agent called dev-agent"),
            Example("kars dev --name researcher --workspace ./notes", "Give it files to start with"),
        ],
        environment: [KarsHome.variable], group: "Lifecycle", later: ["down"],
        laterOptions: [
            "model", "policy", "target", "cluster-name", "ephemeral", "github-token", "image", "build",
            "build-base", "base-image", "mesh-provider", "agt-repo", "agt-sdk-tarball", "no-mesh",
            "global-registry", "channels", "telegram-token", "telegram-allow-from", "slack-token",
            "discord-token", "skills", "brave-api-key", "tavily-api-key", "exa-api-key",
            "firecrawl-api-key", "perplexity-api-key", "openai-api-key",
        ]
    ) { invocation in
        let sandbox = try await NodeConnection.call(
            CreateSandbox(
                sandboxName: invocation.value("name") ?? "dev-agent",
                workspace: invocation.value("workspace").map(absolutePath)),
            invocation)
        try OutputFormat.print(sandbox, invocation) {
            var rows: [(String, String)] = []
            if let url = sandbox.gatewayURL { rows.append(("URL", url)) }
            if let file = sandbox.tokenFile { rows.append(("Token", "in \(file)")) }
            return "\(sandbox.name) is \(sandbox.status)\n" + facts(rows)
        }
    }
}
