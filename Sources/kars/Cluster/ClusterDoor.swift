import CommandTree
import MeshNode
import Resources
import Transport

/// The way from this machine to the controller of a cluster: its node is asked inside its pod, over the Kubernetes API,
/// so that whoever may run commands in that pod is its operator, and nothing of it listens for others.
enum ClusterDoor {
    static let namespace = "kars-system"
    static let deployment = "kars-controller"
    static let container = "controller"
    /// Longest answer that is taken.
    private static let maximumAnswerBytes = 64 << 20

    static let option = Option.value(
        "context", "name", help: "Ask the controller of this context's cluster, not the node of this machine")

    static let kubeconfig = EnvironmentVariable("KUBECONFIG", help: "Files with contexts instead of ~/.kube/config")

    /// The context that was asked for; nil where the node of this machine is meant.
    static func context(_ invocation: Invocation) -> String? {
        invocation.hasOption("context") ? invocation.value("context") : nil
    }

    static func client(_ context: String?, _ invocation: Invocation, _ loop: EventLoop) throws -> KubernetesClient {
        do {
            return KubernetesClient(
                configuration: try KubernetesConfiguration.load(environment: invocation.environment, context: context),
                loop: loop)
        } catch { throw UsageError.refused("\(error)") }
    }

    /// Asks the controller's node.
    static func node(_ context: String, _ invocation: Invocation, _ loop: EventLoop) throws -> NodeClient {
        let client = try client(context, invocation, loop)
        return node(client, namespace, container, "the controller in \(context)") { try await controllerPod(client) }
    }

    /// Asks the node beside an agent in its pod, whether there is a controller or not.
    static func node(
        ofSandbox name: String, _ context: String?, _ invocation: Invocation, _ loop: EventLoop
    ) throws -> NodeClient {
        let client = try client(context, invocation, loop)
        let namespace = "kars-\(name)"
        return node(client, namespace, "node", "the node of \(name)") {
            let pods = try await client.list(
                .pods, namespace: namespace, labelSelector: "kars.azure.com/sandbox=\(name)").items
            guard let pod = pods.first(where: isReady) else {
                throw OperationFailure(
                    pods.isEmpty ? .notFound : .unavailable,
                    pods.isEmpty ? "this cluster has no agent called \(name)" : "the pod of \(name) is not ready",
                    hint: pods.isEmpty
                        ? "'kubectl --namespace \(ClusterDoor.namespace) get karssandboxes' lists those it has"
                        : "'kubectl --namespace \(namespace) describe pods' shows why")
            }
            return pod.name
        }
    }

    private static func node(
        _ client: KubernetesClient, _ namespace: String, _ container: String, _ what: String,
        _ pod: @escaping @Sendable () async throws -> String
    ) -> NodeClient {
        NodeClient { request in
            do {
                let run = try await client.execStream(
                    pod: try await pod(), namespace: namespace, container: container,
                    command: ["/usr/bin/kars", "node", "answer"], takesInput: true)
                defer { run.close() }
                try await run.write(request + [UInt8(ascii: "\n")])
                var answer: [UInt8] = []
                var complaint: [UInt8] = []
                while let piece = try await run.next() {
                    switch piece {
                    case .stdout(let bytes): answer += bytes
                    case .stderr(let bytes): complaint += bytes
                    }
                    guard answer.count + complaint.count <= maximumAnswerBytes else {
                        throw KubernetesError.tooLarge(what: "the answer of \(what)", limit: maximumAnswerBytes)
                    }
                }
                guard try await run.wait() == 0 else {
                    let line = String(decoding: complaint, as: UTF8.self).split(separator: "\n").last.map(String.init)
                    throw OperationFailure(.unavailable, "\(what) cannot be asked: \(line ?? "no reason given")")
                }
                return answer
            } catch let failure as OperationFailure {
                throw failure
            } catch {
                throw OperationFailure(.unavailable, "\(error)")
            }
        }
    }

    private static func controllerPod(_ client: KubernetesClient) async throws -> String {
        let pods = try await client.list(.pods, namespace: namespace, labelSelector: "app=\(deployment)").items
        guard let ready = pods.first(where: isReady) else {
            throw OperationFailure(
                .unavailable,
                pods.isEmpty
                    ? "there is no \(deployment) in \(namespace) of this cluster"
                    : "no pod of \(deployment) in \(namespace) is ready",
                hint: pods.isEmpty
                    ? "install it: 'kubectl apply --kustomize deploy/kubernetes'"
                    : "'kubectl --namespace \(namespace) describe pods' shows why")
        }
        return ready.name
    }

    private static func isReady(_ pod: KubernetesObject) -> Bool {
        !pod.isBeingDeleted
            && (pod.status?["conditions"]?.arrayValue ?? []).contains {
                $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
            }
    }
}
