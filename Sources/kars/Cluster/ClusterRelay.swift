import MeshNode
import Resources

/// The relay of a cluster, as its Deployment says it is.
struct ClusterRelay {
    private static let namespace = "agentmesh"
    private static let name = "relay"
    private static let variable = "KARS_RELAY_REQUIRE_REGISTRATION"
    /// How long a relay may take to start anew.
    private static let patience = Duration.seconds(120)

    let client: KubernetesClient

    private func deployment() async throws -> KubernetesObject {
        guard let found = try await client.get(.deployments, Self.name, namespace: Self.namespace) else {
            throw OperationFailure(
                .notFound, "there is no relay in the namespace \(Self.namespace) of this cluster",
                hint: "install it: 'kubectl apply --kustomize deploy/kubernetes'")
        }
        return found
    }

    private static let containers = ["spec", "template", "spec", "containers"]

    private static func index(in deployment: KubernetesObject) throws -> Int {
        let all = deployment[path: containers]?.arrayValue ?? []
        guard let index = all.firstIndex(where: { $0["name"]?.stringValue == name }) else {
            throw OperationFailure(.failed, "the deployment \(namespace)/\(name) has no container called \(name)")
        }
        return index
    }

    /// Unset means so.
    func requiresRegistration() async throws -> Bool {
        let deployment = try await deployment()
        let container = deployment[path: Self.containers]?[try Self.index(in: deployment)]
        let value = (container?["env"]?.arrayValue ?? []).first { $0["name"]?.stringValue == Self.variable }
        return value?["value"]?.stringValue != "false"
    }

    /// Returns once a relay that does so serves.
    func setRequiresRegistration(_ requires: Bool) async throws {
        for attempt in 0... {
            var deployment = try await deployment()
            let index = try Self.index(in: deployment)
            guard var containers = deployment[path: Self.containers]?.arrayValue else { return }
            var environment = (containers[index]["env"]?.arrayValue ?? []).filter { $0["name"]?.stringValue != Self.variable }
            environment.append(["name": .string(Self.variable), "value": .string(requires ? "true" : "false")])
            containers[index]["env"] = .array(environment)
            deployment[path: Self.containers] = .array(containers)
            do throws(KubernetesError) {
                let changed = try await client.replace(.deployments, deployment, fieldManager: "kars-cli")
                return try await wait(for: changed.generation ?? 0)
            } catch {
                // Its status changes all the time, and with it the version.
                guard case .conflict = error, attempt < 10 else { throw error }
            }
        }
    }

    private func wait(for generation: Int64) async throws(KubernetesError) {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            if let status = try await client.get(.deployments, Self.name, namespace: Self.namespace)?.status,
                status["observedGeneration"]?.intValue ?? 0 >= generation, status["updatedReplicas"]?.intValue ?? 0 >= 1,
                status["availableReplicas"]?.intValue ?? 0 >= 1, status["unavailableReplicas"]?.intValue ?? 0 == 0
            {
                return
            }
            guard ContinuousClock.now < deadline else {
                throw .configuration(
                    "the relay did not start anew within \(Self.patience); 'kubectl --namespace \(Self.namespace) get pods' shows why")
            }
            do { try await Task.sleep(for: .milliseconds(250)) } catch { throw .cancelled }
        }
    }
}
