import MeshNode
import Resources

/// A Deployment of kars in a cluster: a part of it is changed, and waited for.
struct ClusterDeployment {
    /// How long its pod may take to start anew.
    static let patience = Duration.seconds(120)

    let client: KubernetesClient
    let namespace: String
    let name: String
    /// Name of the container, and what it is called in messages.
    let container: String

    func read() async throws -> KubernetesObject {
        guard let found = try await client.get(.deployments, name, namespace: namespace) else {
            throw OperationFailure(
                .notFound, "there is no deployment \(name) in the namespace \(namespace) of this cluster",
                hint: "install it: 'kubectl apply --kustomize deploy/kubernetes'")
        }
        let containers = found[path: ["spec", "template", "spec", "containers"]]?.arrayValue ?? []
        guard containers.contains(where: { $0["name"]?.stringValue == container }) else {
            throw OperationFailure(.failed, "the deployment \(namespace)/\(name) has no container called \(container)")
        }
        return found
    }

    /// The value of a variable of its container; nil where it is not set.
    func value(of variable: String) async throws -> String? {
        let containers = try await read()[path: ["spec", "template", "spec", "containers"]]?.arrayValue ?? []
        let own = containers.first { $0["name"]?.stringValue == container }
        return own?["env"]?.arrayValue?.first { $0["name"]?.stringValue == variable }?["value"]?.stringValue
    }

    /// Returns once a pod with that variable serves.
    func set(_ variable: String, to value: String) async throws {
        try await change(
            ["env": [["name": .string(variable), "value": .string(value)]]], as: "kars-cli")
    }

    /// Applies fields of its container and volumes of its pod, in place of those the same manager applied before, and
    /// returns once a pod that has them serves.
    ///
    /// - Parameter fields: nil takes the manager's own fields away.
    func change(_ fields: JSONValue?, volumes: [JSONValue] = [], as manager: String) async throws {
        _ = try await read()
        var part = KubernetesObject(.deployments, name: name, namespace: namespace)
        if var fields {
            fields["name"] = .string(container)
            part[path: ["spec", "template", "spec", "containers"]] = [fields]
            if !volumes.isEmpty { part[path: ["spec", "template", "spec", "volumes"]] = .array(volumes) }
        }
        let changed = try await client.apply(.deployments, part, fieldManager: manager)
        try await wait(for: changed.generation ?? 0)
    }

    private func wait(for generation: Int64) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            if let found = try await client.get(.deployments, name, namespace: namespace),
                let status = found.status, status["observedGeneration"]?.intValue ?? 0 >= generation
            {
                let wanted = found[path: ["spec", "replicas"]]?.intValue ?? 1
                let updated = status["updatedReplicas"]?.intValue ?? 0, available = status["availableReplicas"]?.intValue ?? 0
                if updated >= wanted, available >= wanted, status["unavailableReplicas"]?.intValue ?? 0 == 0 { return }
            }
            guard ContinuousClock.now < deadline else {
                throw OperationFailure(
                    .timedOut, "\(namespace)/\(name) did not start anew within \(Self.patience.components.seconds) s",
                    hint: "'kubectl --namespace \(namespace) get pods' shows why")
            }
            try await Task.sleep(for: .milliseconds(250))
        }
    }
}
