import CommandTree
import MeshNode
import Resources
import Transport

extension Command {
    /// `kars mesh security`
    static let meshSecurity = Command(
        "security", summary: "Choose whom a cluster's relay lets in",
        discussion: "Of the relay in the namespace agentmesh of a cluster. 'strict', which it is from the start, lets in "
            + "only whom the registry knows; 'open' anybody who proves a key.",
        subcommands: [
            meshSecurity("strict", requires: true), meshSecurity("open", requires: false), .meshSecurityStatus,
        ],
        examples: [
            Example("kars mesh security status", "See how it is"),
            Example("kars mesh security strict --context prod", "Ask for registration again"),
        ])

    private static let context = Option.value(
        "context", "name", help: "Context of the kubeconfig", defaultNote: "the present one")

    private static func meshSecurity(_ name: String, requires: Bool) -> Command {
        Command(
            name,
            summary: requires ? "Let in only whom the registry knows" : "Let in anybody who proves a key, after a question",
            options: requires ? [context] : [context, Confirmation.option], environment: [ClusterDoor.kubeconfig]
        ) { invocation in
            try await withRelay(invocation) { relay in
                guard try await relay.requiresRegistration() != requires else {
                    return try Console.line("the relay is \(name) already")
                }
                if !requires {
                    try Confirmation.require("Let peers that no registry knows connect to this cluster's relay", invocation)
                }
                if Console.showsProgress { Console.complain("  waiting for the relay to start anew") }
                try await relay.setRequiresRegistration(requires)
                try Console.line("the relay is \(name) now")
            }
        }
    }

    private static let meshSecurityStatus = Command(
        "status", summary: "Say whom the relay lets in", options: [context, OutputFormat.option], environment: [ClusterDoor.kubeconfig]
    ) { invocation in
        struct Answer: Encodable {
            let mode: String
            let requiresRegistration: Bool
        }
        try await withRelay(invocation) { relay in
            let requires = try await relay.requiresRegistration()
            let answer = Answer(mode: requires ? "strict" : "open", requiresRegistration: requires)
            try OutputFormat.print(answer, invocation) {
                "\(answer.mode): \(requires ? "only whom the registry knows is let in" : "anybody who proves a key is let in")\n"
            }
        }
    }

    private static func withRelay(_ invocation: Invocation, _ body: (ClusterRelay) async throws -> Void) async throws {
        let loop = try EventLoop(name: "kars")
        defer { loop.shutdown() }
        do {
            try await body(ClusterRelay(client: try ClusterDoor.client(invocation.value("context"), invocation, loop)))
        } catch let error as KubernetesError {
            throw OperationFailure(.unavailable, "\(error)")
        }
    }
}
