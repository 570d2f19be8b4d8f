import CommandTree
import Resources

extension Command {
    /// `kars mcp`, contract: resources §6.
    static let mcp = ManagedKind(
        type: McpServerSpec.self, command: "mcp",
        summary: "Manage the servers of tools that agents may reach",
        discussion: "An McpServer makes a server of tools (Model Context Protocol) known to sandboxes. In production mode it "
            + "must be reached by https and its callers prove themselves with OAuth.",
        options: [
            .value("url", "url", kind: .url(schemes: ["https", "http"]), help: "Address of the server"),
            .flag("production-mode", help: "Ask for https and OAuth"),
            .value("oauth-issuer", "url", kind: .url(schemes: ["https", "http"]), help: "Issuer of the OAuth tokens"),
            .value("oauth-audience", "name", help: "Audience the tokens must have"),
            .value("oauth-resource", "name", help: "Resource the tokens are asked for"),
            .list("scope", "name", commaSeparated: false, help: "Scope to ask for"),
            .list(
                "allowed-tool", "name", commaSeparated: false,
                help: "Tool that may be called, * for all; without any the server is left out"),
            .labels("allowed-sandbox-label"),
            .displayName,
        ],
        columns: [.init("URL", "spec", "url"), .init("PRODUCTION", "spec", "productionMode")],
        examples: [
            Example("kars mcp apply github-mcp --url https://mcp.example.com --allowed-tool '*'", "Make a server known"),
            Example(
                "kars mcp apply prod-mcp --url https://mcp.example.com --production-mode "
                    + "--oauth-issuer https://login.example.com --oauth-audience mcp-api --scope mcp.read "
                    + "--allowed-tool search --allowed-tool fetch", "With OAuth, for two of its tools"),
            Example("kars mcp apply complex --from-file mcp.yaml", "Take it from a file"),
            Example("kars mcp list -n kars-system", "List those that sandboxes can refer to"),
        ],
        draft: { invocation throws(UsageError) in
            guard invocation.isGiven("url") else {
                throw .refused("give the --url of the server, or --from-file")
            }
            var draft = SpecDraft(invocation)
            draft.text("url", "url")
            draft.flag("production-mode", "productionMode")
            draft.text("oauth-issuer", "oauth", "issuer")
            draft.text("oauth-audience", "oauth", "audience")
            draft.text("oauth-resource", "oauth", "resource")
            draft.list("scope", "scopes")
            draft.list("allowed-tool", "allowedTools")
            try draft.labels("allowed-sandbox-label", "allowedSandboxes", "matchLabels")
            draft.text("display-name", "displayName")
            let isOpen = invocation.values("allowed-tool").isEmpty
            return .init(
                spec: draft.spec,
                warnings: isOpen ? ["no --allowed-tool is given: the server will be left out of every sandbox"] : [])
        },
        isUsed: { object, sandbox in
            let governance = sandbox[path: ["spec", "governance"]]
            let named = (governance?["mcpServerRefs"]?.arrayValue ?? []) + [governance?["mcpServerRef"]].compactMap(\.self)
            return named.contains { $0["name"]?.stringValue == object.name }
        }
    ).tree
}
