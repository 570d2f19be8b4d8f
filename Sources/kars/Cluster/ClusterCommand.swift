import CommandTree
import MeshNode
import Resources
import Transport

/// What commands on the objects of a cluster share.
enum ClusterCommand {
    static let context = Option.value(
        "context", "name", help: "Context of the kubeconfig", defaultNote: "the present one")

    static func namespace(_ name: String, _ what: String) -> Option {
        .value("namespace", short: "n", "ns", help: "Namespace of the \(what)", defaultValue: name)
    }

    static func deployment(_ name: String, _ what: String) -> Option {
        .value("deployment", "name", help: "Deployment of the \(what)", defaultValue: name)
    }

    /// Gives the body a client of the context that was asked for, or of the present one.
    static func withClient<R>(
        _ invocation: Invocation, _ body: (KubernetesClient) async throws -> R
    ) async throws -> R {
        let loop = try EventLoop(name: "kars")
        defer { loop.shutdown() }
        do {
            return try await body(try ClusterDoor.client(invocation.value("context"), invocation, loop))
        } catch let error as KubernetesError {
            throw OperationFailure(.unavailable, "\(error)")
        }
    }

    /// Gives the body the Deployment that the options name.
    static func withDeployment<R>(
        container: String, _ invocation: Invocation, _ body: (ClusterDeployment) async throws -> R
    ) async throws -> R {
        try await withClient(invocation) { client in
            try await body(
                ClusterDeployment(
                    client: client, namespace: invocation.required("namespace"), name: invocation.required("deployment"),
                    container: container))
        }
    }
}
