import CommandTree
import MeshNode
import Resources

extension ManagedKind {
    /// `kars <kind>` with apply, get, list and delete.
    var tree: Command {
        Command(
            command, aliases: aliases, summary: summary, discussion: discussion,
            subcommands: [apply, get, list, delete], examples: examples, environment: [ClusterDoor.kubeconfig],
            group: group)
    }

    private static let namespace = Option.value(
        "namespace", short: "n", "ns", help: "Namespace of the object", defaultValue: "default")

    private func examples(_ word: String) -> [Example] {
        examples.filter { $0.line.split(separator: " ").contains { $0 == word } }
    }

    // MARK: - apply

    private var apply: Command {
        Command(
            "apply", summary: "Make or change \(article) \(resource.kind)",
            discussion: "The spec becomes what is said here: what it had before, and is not said, goes. It is checked before "
                + "the cluster is asked.",
            arguments: [Argument("name", help: "Name of the object")],
            options: [
                Self.namespace,
                .value(
                    "from-file", short: "f", "path", kind: .file,
                    help: "Take the spec, or the whole object, from a file in YAML or JSON, - for standard input",
                    conflicts: options.map(\.long)),
            ] + options + [
                .flag("dry-run", help: "Print the object and change nothing"), ClusterCommand.context,
                .value(
                    "output", short: "o", "format", help: "How to print the object that --dry-run shows, or was applied",
                    defaultNote: "yaml with --dry-run, else a line", allowed: ["yaml", "json"]),
            ],
            examples: examples("apply"), environment: [ClusterDoor.kubeconfig]
        ) { invocation in
            let (object, warnings) = try KindManifest(kind: self, invocation: invocation).object()
            for warning in warnings { Console.complain("warning: \(warning)") }
            if invocation.flag("dry-run") { return try print(object, invocation) }
            try await ClusterCommand.withClient(invocation) { client in
                let applied = try await store(object, client)
                if invocation.value("output") != nil {
                    try print(applied, invocation)
                } else {
                    try Console.line("applied \(command) \(applied.key)")
                }
                try await warnUnlessUsed(applied, client)
            }
        }
    }

    /// Makes the object, or gives the one that is there this spec, whoever wrote the old one.
    ///
    /// Not by server-side apply: of a member all of whose fields go, API servers keep a null, which the schema refuses.
    private func store(_ object: KubernetesObject, _ client: KubernetesClient) async throws -> KubernetesObject {
        var attempts = 5
        while true {
            do throws(KubernetesError) {
                guard var present = try await client.get(resource, object.name, namespace: object.namespace) else {
                    return try await client.create(resource, object, fieldManager: "kars-cli")
                }
                present.spec = object.spec
                present.labels.merge(object.labels) { $1 }
                present.annotations.merge(object.annotations) { $1 }
                // With the version that was read: a change of somebody else in between is a conflict.
                return try await client.replace(resource, present, fieldManager: "kars-cli")
            } catch {
                attempts -= 1
                switch error {
                case .conflict where attempts > 0, .alreadyExists where attempts > 0: continue
                default: throw error
                }
            }
        }
    }

    /// An object lies where no sandbox looks when its namespace is not that of the sandboxes.
    private func warnUnlessUsed(_ object: KubernetesObject, _ client: KubernetesClient) async throws {
        let sandboxes: [KubernetesObject]
        do { sandboxes = try await client.list(.karsSandboxes, namespace: object.namespace).items } catch {
            // Who may apply policies need not be allowed to list sandboxes.
            return
        }
        guard !sandboxes.contains(where: { isUsed(object, $0) }) else { return }
        let elsewhere = object.namespace == ClusterDoor.namespace ? "" : "; sandboxes are in \(ClusterDoor.namespace) usually"
        Console.complain("warning: no sandbox in the namespace \(object.namespace ?? "") refers to it yet\(elsewhere)")
    }

    private func print(_ object: KubernetesObject, _ invocation: Invocation) throws {
        var shown = object
        shown["metadata", "managedFields"] = nil
        if invocation.value("output") == "json" {
            try Console.line(OutputFormat.json(shown))
        } else {
            try Console.write(YAML.text(shown.json))
        }
    }

    // MARK: - get, list, delete

    private var get: Command {
        Command(
            "get", aliases: ["show"], summary: "Show \(article) \(resource.kind)",
            arguments: [Argument("name", help: "Name of the object")],
            options: [
                Self.namespace, ClusterCommand.context,
                .value(
                    "output", short: "o", "format", help: "How to print it", defaultValue: "pretty",
                    allowed: ["pretty", "yaml", "json"]),
            ],
            examples: [Example("kars \(command) get demo -n \(ClusterDoor.namespace)", "See how it is")],
            environment: [ClusterDoor.kubeconfig]
        ) { invocation in
            try await ClusterCommand.withClient(invocation) { client in
                let object = try await require(client, invocation)
                guard invocation.value("output") == "pretty" else { return try print(object, invocation) }
                try Console.write(KindText.facts(object))
            }
        }
    }

    private var list: Command {
        Command(
            "list", aliases: ["ls"], summary: "List the \(resource.kind) objects of a namespace",
            options: [
                Self.namespace,
                .flag("all-namespaces", short: "A", help: "Of all namespaces", conflicts: ["namespace"]),
                ClusterCommand.context, OutputFormat.option,
            ],
            examples: examples("list") + [Example("kars \(command) list -A", "List those of all namespaces")],
            environment: [ClusterDoor.kubeconfig]
        ) { invocation in
            let isEverywhere = invocation.flag("all-namespaces")
            try await ClusterCommand.withClient(invocation) { client in
                let namespace = isEverywhere ? nil : invocation.required("namespace")
                let objects = try await client.list(resource, namespace: namespace).items
                    .sorted { ($0.namespace ?? "", $0.name) < ($1.namespace ?? "", $1.name) }
                    .map { object in
                        var object = object
                        object["metadata", "managedFields"] = nil
                        return object
                    }
                try OutputFormat.print(objects, invocation) {
                    guard !objects.isEmpty else {
                        return "there is no \(resource.kind)"
                            + (namespace.map { " in the namespace \($0); -A lists those of all namespaces" } ?? "") + "\n"
                    }
                    return KindText.table(
                        objects, columns, withNamespace: isEverywhere, style: Console.style(invocation.environment))
                }
            }
        }
    }

    private var delete: Command {
        Command(
            "delete", aliases: ["rm"], summary: "Delete \(article) \(resource.kind), after a question",
            arguments: [Argument("name", help: "Name of the object")],
            options: [
                Self.namespace, .flag("no-prompt", help: "Do not ask, as --yes"), Confirmation.option, ClusterCommand.context,
            ],
            examples: examples("delete").isEmpty
                ? [Example("kars \(command) delete demo -n \(ClusterDoor.namespace)", "Delete it, after a question")]
                : examples("delete"),
            environment: [ClusterDoor.kubeconfig]
        ) { invocation in
            try await ClusterCommand.withClient(invocation) { client in
                let object = try await require(client, invocation)
                if !invocation.flag("no-prompt") {
                    let sandboxes = (try? await client.list(.karsSandboxes, namespace: object.namespace).items) ?? []
                    let users = sandboxes.filter { isUsed(object, $0) }.map(\.name).sorted()
                    let verb = users.count == 1 ? "refers" : "refer"
                    let note = users.isEmpty ? "" : ", which \(users.joined(separator: ", ")) \(verb) to"
                    try Confirmation.require("Delete \(command) \(object.key)\(note)", invocation)
                }
                // This very object: another of its name may have come while the question stood.
                try await client.delete(resource, object.name, namespace: object.namespace, uid: object.uid)
                try Console.line("deleted \(command) \(object.key)")
            }
        }
    }

    private func require(_ client: KubernetesClient, _ invocation: Invocation) async throws -> KubernetesObject {
        let (name, namespace) = (invocation.required("name"), invocation.required("namespace"))
        if let object = try await client.get(resource, name, namespace: namespace) { return object }
        throw OperationFailure(
            .notFound, "there is no \(resource.kind) called \(name) in the namespace \(namespace)",
            hint: "'kars \(command) list -A' lists all of them")
    }

    private var article: String { resource.kind.first.map { "AI".contains($0) } == true ? "an" : "a" }
}
