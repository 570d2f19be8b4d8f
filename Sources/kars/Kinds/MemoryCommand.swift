import CommandTree
import Resources

extension Command {
    /// `kars memory`, contract: resources §8.
    static let memory = ManagedKind(
        type: KarsMemorySpec.self, command: "memory",
        summary: "Manage which memory stores sandboxes are bound to",
        discussion: "A KarsMemory binds a sandbox to a memory store: under which scope it reads and writes there, and how long "
            + "its content is kept.",
        options: [
            .value("sandbox", "name", help: "Sandbox to bind"),
            .value("store", "name", help: "Name of the store"),
            .value("scope", "key", help: "Scope in the store", defaultNote: "agent_<sandbox>"),
            .number("retention-days", help: "Days the content is kept at least", from: 1),
            .flag("no-delete-on-sandbox-delete", help: "Keep the content when the sandbox is deleted"),
            .displayName,
        ],
        columns: [
            .init("SANDBOX", "spec", "sandboxRef", "name"), .init("STORE", "spec", "storeName"), .init("SCOPE", "spec", "scope"),
        ],
        examples: [
            Example(
                "kars memory apply my-agent-mem -n kars-system --sandbox my-agent --store shared-memory --retention-days 30",
                "Bind a sandbox to a store"),
            Example("kars memory list -n kars-system", "List the bindings"),
            Example("kars memory delete my-agent-mem -n kars-system", "Delete a binding, after a question"),
        ],
        draft: { invocation throws(UsageError) in
            guard let sandbox = invocation.value("sandbox"), invocation.isGiven("store") else {
                throw .refused("give the --sandbox to bind and the --store, or --from-file")
            }
            var draft = SpecDraft(invocation)
            var warnings: [String] = []
            let scope = invocation.value("scope") ?? "agent_\(sandbox)"
            // The contract's own example has a colon, which its schema refuses.
            let written = scope.replacing(":", with: "_")
            if written != scope { warnings.append("a scope has no colons: \(scope) is written \(written)") }
            draft.text("sandbox", "sandboxRef", "name")
            draft.text("store", "storeName")
            draft.set(["scope"], .string(written))
            try draft.number("retention-days", "retentionDays")
            draft.flag("no-delete-on-sandbox-delete", "deleteOnSandboxDelete", value: false)
            draft.text("display-name", "displayName")
            return .init(spec: draft.spec, warnings: warnings)
        },
        isUsed: { object, sandbox in sandbox[path: ["spec", "memoryRef", "name"]]?.stringValue == object.name }
    ).tree
}
