import FoundationEssentials
import MeshIdentity
import MeshNode
import Observability
import Resources

/// Brings what a cluster has of one sandbox to what its KarsSandbox says. It looks at what is there, never at what was
/// done before, so that it can be cut off anywhere and asked any number of times.
struct SandboxReconciler: Sendable {
    /// How soon to look again while something is awaited, and when nothing is.
    private static let soon = Duration.seconds(2)
    private static let later = Duration.seconds(20)

    let client: KubernetesClient
    let settings: ClusterSettings
    let identity: PublicKey
    let peers: PodPeers
    let logger: Logger
    private let vouched = VouchedPods()

    init(client: KubernetesClient, settings: ClusterSettings, identity: PublicKey, peers: PodPeers, logger: Logger) {
        self.client = client
        self.settings = settings
        self.identity = identity
        self.peers = peers
        self.logger = logger
    }

    /// - Returns: when to look again.
    func reconcile(_ name: String) async throws -> Duration? {
        guard var object = try await client.get(.karsSandboxes, name, namespace: settings.namespace) else {
            // Gone, and with it all that the finalizer saw to.
            vouched[name] = nil
            return nil
        }
        if object.isBeingDeleted { return try await end(object) }
        if !object.finalizers.contains(ClusterNames.finalizer) {
            object = try await client.patch(
                .karsSandboxes, name, namespace: settings.namespace,
                [
                    "metadata": [
                        "resourceVersion": .string(object.resourceVersion ?? ""),
                        "finalizers": .array((object.finalizers + [ClusterNames.finalizer]).map { .string($0) }),
                    ]
                ], fieldManager: ClusterNames.fieldManager)
        }
        let sandbox: KarsSandbox
        do throws(KarsSandbox.Invalid) {
            sandbox = try KarsSandbox(object, ownImage: settings.image)
        } catch {
            try await write(SandboxStatusReport(.degraded, reason: "SpecInvalid", message: error.reason), object, nil)
            return Self.later
        }
        if let missing = try await missingReference(of: sandbox) {
            try await write(
                SandboxStatusReport(.degraded, reason: missing.reason, message: missing.message), object, sandbox)
            return Self.later
        }
        do { try await make(sandbox) } catch let error where Self.isLasting(error) {
            try await write(SandboxStatusReport(.degraded, reason: "Failed", message: "\(error)"), object, sandbox)
            throw error
        }
        var report = try await look(at: sandbox, object)
        report?.note(suspended: sandbox.isSuspended)
        guard let report else { return nil }
        try await write(report, object, sandbox)
        return report.phase == .creating ? Self.soon : Self.later
    }

    private func write(
        _ report: SandboxStatusReport, _ object: KubernetesObject, _ sandbox: KarsSandbox?
    ) async throws {
        guard let status = report.merged(into: object, sandbox: sandbox) else { return }
        try await client.patchStatus(
            .karsSandboxes, object.name, namespace: settings.namespace, status, fieldManager: ClusterNames.fieldManager)
        if object[path: ["status", "phase"]]?.stringValue != report.phase.rawValue {
            logger.info(
                "a sandbox changed", ["sandbox": object.name, "phase": report.phase.rawValue, "reason": report.conditions[0].reason])
        }
    }

    private func missingReference(of sandbox: KarsSandbox) async throws -> (reason: String, message: String)? {
        for (kind, name) in [(KubernetesResource.inferencePolicies, sandbox.inferencePolicy), (.toolPolicies, sandbox.toolPolicy)] {
            guard let name else { continue }
            if try await client.get(kind, name, namespace: settings.namespace) == nil {
                return ("\(kind.kind)NotFound", "the \(kind.kind) \(name) is not in \(settings.namespace)")
            }
        }
        return nil
    }

    /// Whether it takes somebody to change something until it works.
    private static func isLasting(_ error: any Error) -> Bool {
        switch error {
        case let failure as OperationFailure: failure.code != .unavailable && failure.code != .timedOut
        case KubernetesError.forbidden, KubernetesError.invalid: true
        default: false
        }
    }

    // MARK: Making

    private func make(_ sandbox: KarsSandbox) async throws {
        let objects = SandboxObjects(sandbox: sandbox, settings: settings, controller: identity)
        let namespace = ClusterNames.namespace(of: sandbox.name)
        if let found = try await client.get(.namespaces, namespace) {
            guard !found.isBeingDeleted else {
                throw OperationFailure(.unavailable, "the namespace \(namespace) of an earlier sandbox is still being deleted")
            }
            guard found.labels[ClusterNames.sandboxLabel] == sandbox.name else {
                throw OperationFailure(.conflict, "the namespace \(namespace) is there and not one of a sandbox")
            }
        }
        for (resource, object) in objects.foundations { try await apply(resource, object) }
        try await ensureSecret(objects, sandbox.name, namespace)
        for (resource, object) in objects.content { try await apply(resource, object) }
    }

    private func apply(_ resource: KubernetesResource, _ object: KubernetesObject) async throws {
        // A role takes a moment until the API server follows it in a new namespace.
        for attempt in 0... {
            do throws(KubernetesError) {
                try await client.apply(resource, object, fieldManager: ClusterNames.fieldManager)
                return
            } catch {
                guard case .forbidden = error, attempt < 20 else { throw error }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    /// The token is known only while it is made, so Secret and pairing are made together; where only one of them is there,
    /// as after a crash between the two, both are made anew.
    private func ensureSecret(_ objects: SandboxObjects, _ name: String, _ namespace: String) async throws {
        var found: KubernetesObject?
        for attempt in 0... {
            do throws(KubernetesError) {
                found = try await client.get(.secrets, ClusterNames.nodeSecret, namespace: namespace)
                break
            } catch {
                guard case .forbidden = error, attempt < 20 else { throw error }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        let isExpected = try await peers.isExpected(name)
        if let found, isExpected, !found.isBeingDeleted { return }
        let token = try await peers.makeToken(for: name)
        guard let found else {
            try await client.create(
                .secrets, objects.secret(key: RandomBytes.make(32), token: token), fieldManager: ClusterNames.fieldManager)
            return
        }
        // The key stays: it opens the home that the node has.
        try await client.patch(
            .secrets, found.name, namespace: namespace,
            ["data": ["pairing-token": .string(Base64.encode(Array(token.utf8)))]], fieldManager: ClusterNames.fieldManager)
        logger.warn("the node of a sandbox is paired anew", ["sandbox": name])
        for pod in try await client.list(.pods, namespace: namespace).items {
            try await client.delete(.pods, pod.name, namespace: namespace)
        }
    }

    // MARK: Looking

    /// How the sandbox is; nil when it is on its way out.
    private func look(at sandbox: KarsSandbox, _ object: KubernetesObject) async throws -> SandboxStatusReport? {
        if sandbox.isSuspended {
            return SandboxStatusReport(.pending, reason: "SuspendedBySpec", message: "spec.suspended is true")
        }
        let namespace = ClusterNames.namespace(of: sandbox.name)
        let pods = try await client.list(
            .pods, namespace: namespace, labelSelector: "\(ClusterNames.componentLabel)=sandbox"
        ).items.filter { !$0.isBeingDeleted }
        guard let pod = pods.first(where: Self.isReady) else {
            return SandboxStatusReport(
                .creating, reason: "Creating", message: pods.first.map(Self.obstacle) ?? "no pod is there yet",
                pod: pods.first?.name)
        }
        let peer = await peers.peer(of: sandbox.name)
        guard peer != nil else {
            return SandboxStatusReport(
                .creating, reason: "Creating", message: "the pod's node has not joined the mesh yet", pod: pod.name)
        }
        try? await settleTrust(object)
        let agents: [SandboxSummary]
        do { agents = try await peers.ask(ListSandboxes(), of: sandbox.name) } catch {
            return SandboxStatusReport(
                .creating, reason: "Creating", message: "the pod's node does not answer: \(error)", pod: pod.name)
        }
        guard let agent = agents.first(where: { $0.name == sandbox.name }) else {
            return try await agentIsAbsent(sandbox, object, pod.name)
        }
        if sandbox.awaitsAgent, !sandbox.hasArrived {
            try await client.patch(
                .karsSandboxes, sandbox.name, namespace: settings.namespace,
                ["metadata": ["annotations": .object([ClusterNames.arrivedAnnotation: "true"])]],
                fieldManager: ClusterNames.fieldManager)
        }
        switch agent.status {
        case "running", "frozen":
            return SandboxStatusReport(.running, reason: "Reconciled", message: "the agent runs", pod: pod.name)
        case "offloaded":
            return SandboxStatusReport(.pending, reason: "Reconciled", message: "the agent lives at \(agent.home)", pod: pod.name)
        default:
            return SandboxStatusReport(.degraded, reason: "Failed", message: "the agent is \(agent.status)", pod: pod.name)
        }
    }

    /// Tells the pod's node whether the peer which brought the agent is trusted: that it is no more, for as long as it is
    /// so, because a node that cannot be told now is told at the next look; and that it is (again), once.
    private func settleTrust(_ object: KubernetesObject) async throws {
        guard let text = object.annotations[ClusterNames.requesterAnnotation], let bytes = Base64.decode(text),
            let key = try? PublicKey(bytes: bytes)
        else { return }
        guard let pairing = await peers.pairings.active(with: PeerIdentity(key: key)) else {
            vouched[object.name] = nil
            _ = try await peers.ask(WithdrawPeer(peer: key), of: object.name)
            return
        }
        let word = "\(object.uid ?? "") \(pairing.name) \(pairing.pairedAt ?? .distantPast)"
        guard vouched[object.name] != word else { return }
        _ = try await peers.ask(IntroducePeer(key, by: pairing), of: object.name)
        vouched[object.name] = word
    }

    private func agentIsAbsent(
        _ sandbox: KarsSandbox, _ object: KubernetesObject, _ pod: String
    ) async throws -> SandboxStatusReport? {
        if sandbox.awaitsAgent {
            guard sandbox.hasArrived else {
                return SandboxStatusReport(.creating, reason: "Creating", message: "it waits for its agent to come", pod: pod)
            }
            // It came, and was destroyed since: what was made for it goes too.
            logger.info("the agent of a sandbox was destroyed", ["sandbox": sandbox.name])
            try await client.delete(.karsSandboxes, sandbox.name, namespace: settings.namespace, uid: sandbox.uid)
            return nil
        }
        var request = CreateSandbox(sandboxName: sandbox.name)
        if case .image(let image, _) = sandbox.runtime { request.image = image }
        request.runtime = "byo"
        do { _ = try await peers.ask(request, of: sandbox.name) } catch {
            return SandboxStatusReport(.degraded, reason: "Failed", message: "the agent cannot be made: \(error)", pod: pod)
        }
        return SandboxStatusReport(.running, reason: "Created", message: "the agent runs", pod: pod)
    }

    private static func isReady(_ pod: KubernetesObject) -> Bool {
        (pod.status?["conditions"]?.arrayValue ?? []).contains {
            $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
        }
    }

    private static func hasEnded(_ pod: KubernetesObject) -> Bool {
        let statuses = pod.status?["containerStatuses"]?.arrayValue ?? []
        return !statuses.isEmpty && statuses.allSatisfy { $0[path: ["state", "terminated"]] != Optional.none }
    }

    /// What keeps a pod from being ready, as the kubelet or the scheduler says.
    static func obstacle(_ pod: KubernetesObject) -> String {
        let statuses = ["initContainerStatuses", "containerStatuses"].flatMap { pod.status?[$0]?.arrayValue ?? [] }
        for status in statuses {
            let container = status["name"]?.stringValue ?? "a container"
            for state in ["waiting", "terminated"] {
                guard let found = status[path: ["state", state]], let reason = found["reason"]?.stringValue,
                    !["PodInitializing", "ContainerCreating", "Completed"].contains(reason)
                else { continue }
                let message = found["message"]?.stringValue.map { ": \($0)" } ?? ""
                return "the container \(container) is \(state): \(reason)\(message)"
            }
        }
        for condition in pod.status?["conditions"]?.arrayValue ?? [] where condition["status"]?.stringValue == "False" {
            if let message = condition["message"]?.stringValue, condition["type"]?.stringValue == "PodScheduled" {
                return "the pod has no place: \(message)"
            }
        }
        return "the pod is starting"
    }

    // MARK: Ending

    private func end(_ object: KubernetesObject) async throws -> Duration? {
        guard object.finalizers.contains(ClusterNames.finalizer) else { return nil }
        let namespace = ClusterNames.namespace(of: object.name)
        if let found = try await client.get(.namespaces, namespace),
            found.labels[ClusterNames.sandboxLabel] == object.name
        {
            try await write(
                SandboxStatusReport(.terminating, reason: "Reconciled", message: "its namespace is being deleted"), object, nil)
            guard !found.isBeingDeleted else { return .milliseconds(500) }
            // The pod first: a namespace whose pods still end is looked at again only after half a minute.
            do throws(KubernetesError) {
                try await client.delete(.deployments, object.name, namespace: namespace, propagation: .foreground)
                let pods = try await client.list(.pods, namespace: namespace).items
                for pod in pods where pod.isBeingDeleted && Self.hasEnded(pod) {
                    // Nothing of it runs; the kubelet may take its time to clear away its volumes.
                    try await client.delete(.pods, pod.name, namespace: namespace, uid: pod.uid, gracePeriodSeconds: 0)
                }
                if !pods.isEmpty { return .milliseconds(500) }
            } catch {
                // Without the role in it there is nothing of ours to wait for.
                guard case .forbidden = error else { throw error }
            }
            try await client.delete(.namespaces, namespace, propagation: .foreground, uid: found.uid)
            return .milliseconds(500)
        }
        try await peers.forget(object.name)
        try await client.patch(
            .karsSandboxes, object.name, namespace: settings.namespace,
            [
                "metadata": [
                    "resourceVersion": .string(object.resourceVersion ?? ""),
                    "finalizers": .array(object.finalizers.filter { $0 != ClusterNames.finalizer }.map { .string($0) }),
                ]
            ], fieldManager: ClusterNames.fieldManager)
        logger.info("a sandbox is gone", ["sandbox": object.name])
        return nil
    }
}
