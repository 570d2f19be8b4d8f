import FoundationEssentials
import MeshIdentity
import MeshNode
import Observability
import Resources
import Synchronization

/// The controller of a cluster: follows its KarsSandbox objects and the Deployments made of them, and looks at a sandbox
/// whenever one of them changes, and from time to time.
public final class ClusterController: Sendable {
    /// Sandboxes looked at side by side.
    private static let workers = 4

    private let client: KubernetesClient
    private let settings: ClusterSettings
    private let logger: Logger
    private let queue = ReconcileQueue()
    private let reconciler: SandboxReconciler
    private let peers: PodPeers
    private let places: PodPlaces
    private let mirror: PairingMirror
    private let policies: PolicyReconciler
    private let tasks = Mutex<[Task<Void, Never>]>([])

    public init(
        client: KubernetesClient, settings: ClusterSettings, identity: PublicKey, calls: MeshCalls, pairings: PairingService,
        logger: Logger
    ) {
        self.client = client
        self.settings = settings
        self.logger = logger
        peers = PodPeers(calls: calls, pairings: pairings, settings: settings)
        reconciler = SandboxReconciler(
            client: client, settings: settings, identity: identity, peers: peers, logger: logger)
        policies = PolicyReconciler(client: client, settings: settings)
        mirror = PairingMirror(client: client, settings: settings, peers: peers, logger: logger) { [queue] in queue.add($0) }
        places = PodPlaces(client: client, settings: settings, peers: peers, logger: logger)
    }

    public func start() {
        tasks.withLock { tasks in
            // Whether a policy is used may change with a sandbox.
            tasks.append(
                Task {
                    await self.follow(.karsSandboxes, namespace: self.settings.namespace) { object in
                        for policy in Self.policies(of: object) { self.queue.add(policy) }
                        return object.name
                    }
                })
            for kind in PolicyReconciler.Kind.allCases {
                tasks.append(
                    Task {
                        await self.follow(kind.resource, namespace: self.settings.namespace) { "\(kind.rawValue)/\($0.name)" }
                    })
            }
            tasks.append(
                Task {
                    await self.follow(.deployments, labels: "\(ClusterNames.componentLabel)=sandbox") {
                        $0.labels[ClusterNames.sandboxLabel]
                    }
                })
            tasks.append(Task { [mirror] in await mirror.run() })
            for _ in 0..<Self.workers { tasks.append(Task { await self.work() }) }
        }
    }

    public func stop() async {
        let tasks = tasks.withLock { tasks in
            defer { tasks = [] }
            return tasks
        }
        queue.close()
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    private func follow(
        _ resource: KubernetesResource, namespace: String? = nil, labels: String? = nil,
        _ sandbox: @Sendable (KubernetesObject) -> String?
    ) async {
        while !Task.isCancelled {
            do {
                for try await change in client.follow(resource, namespace: namespace, labelSelector: labels) {
                    switch change {
                    case .synced(let objects): for name in objects.compactMap(sandbox) { queue.add(name) }
                    case .changed(let object), .removed(let object): if let name = sandbox(object) { queue.add(name) }
                    }
                }
            } catch {
                guard !Task.isCancelled else { return }
                logger.error("changes cannot be followed", ["kind": resource.kind, "error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(5))
        }
    }

    private func work() async {
        while let name = await queue.next() {
            do {
                queue.finish(name, hasFailed: false, again: try await look(at: name))
            } catch let error as KubernetesError where Self.isRace(error) {
                // Somebody else wrote in between: look again.
                queue.finish(name, hasFailed: false, again: .milliseconds(100))
            } catch {
                if !Task.isCancelled {
                    logger.warn("a sandbox cannot be brought to what it should be", ["sandbox": name, "error": "\(error)"])
                }
                queue.finish(name, hasFailed: true, again: nil)
            }
        }
    }

    /// - Parameter name: of a sandbox, or the kind of a policy before a slash and its name.
    private func look(at name: String) async throws -> Duration? {
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        guard parts.count == 2, let kind = PolicyReconciler.Kind(rawValue: parts[0]) else {
            return try await reconciler.reconcile(name)
        }
        try await policies.reconcile(kind, parts[1])
        return nil
    }

    private static func policies(of sandbox: KubernetesObject) -> [String] {
        [
            sandbox[path: ["spec", "inferenceRef", "name"]]?.stringValue.map { "\(PolicyReconciler.Kind.inference.rawValue)/\($0)" },
            sandbox[path: ["spec", "governance", "toolPolicyRef", "name"]]?.stringValue.map {
                "\(PolicyReconciler.Kind.tool.rawValue)/\($0)"
            },
        ].compactMap(\.self)
    }

    private static func isRace(_ error: KubernetesError) -> Bool {
        if case .conflict = error { true } else { false }
    }
}

// MARK: - Operations

extension ClusterController {
    /// The operations that a controller answers otherwise than a peer that runs its agents itself.
    public func register(in table: OperationTable) {
        let (peers, places) = (peers, places)
        table.register(FindPlace.self) { try await places.find($0, from: $1) }
        table.register(ListSandboxes.self) { [self] _, _ in try await list() }
        table.register(SandboxStatus.self) { [self] request, _ in try await status(request.sandboxName) }
        table.register(SandboxLogs.self) { request, _ in try await peers.ask(request, of: request.sandboxName) }
        table.register(UpdateCredentials.self) { request, _ in try await peers.ask(request, of: request.sandboxName) }
        table.register(StartSandbox.self) { request, _ in try await peers.ask(request, of: request.sandboxName) }
        table.register(DestroySandbox.self) { [self] request, _ in
            try await destroy(request.sandboxName)
            return Done()
        }
        table.register(CreateSandbox.self) { _, _ in
            throw OperationFailure(
                .refused, "a cluster makes an agent of a KarsSandbox",
                hint: "apply one with kubectl, or bring an agent with 'kars handoff <name> --to <cluster>'")
        }
    }

    /// Whether a pairing is called as those of a controller with the nodes of its pods, which are not for others.
    public static func isPod(pairing name: String) -> Bool { name.lowercased().hasPrefix(ClusterNames.pairingPrefix) }

    public static let podPairing = OperationFailure(
        .refused, "pairings called \(ClusterNames.pairingPrefix)… are those of this controller with the nodes of its pods",
        hint: "'kars destroy <name>' ends a pod with its pairing")

    private func list() async throws -> [SandboxSummary] {
        let objects = try await client.list(.karsSandboxes, namespace: settings.namespace).items
        let peers = self.peers
        return await withTaskGroup(of: SandboxSummary.self) { group in
            for object in objects {
                group.addTask {
                    let found = try? await withTimeout(seconds: 5) {
                        try await peers.ask(ListSandboxes(), of: object.name).first { $0.name == object.name }
                    }
                    return (found ?? nil) ?? Self.summary(of: object)
                }
            }
            var all: [SandboxSummary] = []
            for await summary in group { all.append(summary) }
            return all.sorted { $0.name < $1.name }
        }
    }

    private func status(_ name: String) async throws -> SandboxSummary {
        guard let object = try await client.get(.karsSandboxes, name, namespace: settings.namespace) else { throw Self.unknown(name) }
        let peers = self.peers
        let found = try? await withTimeout(seconds: 5) { try await peers.ask(SandboxStatus(sandboxName: name), of: name) }
        if let found { return found }
        var summary = Self.summary(of: object)
        summary.conditions = (object.status?["conditions"]?.arrayValue ?? []).compactMap { entry in
            entry["type"]?.stringValue.map {
                SandboxCondition(
                    type: $0, holds: entry["status"]?.stringValue == "True", reason: entry["message"]?.stringValue ?? "")
            }
        }
        return summary
    }

    private static func unknown(_ name: String) -> OperationFailure {
        OperationFailure(
            .notFound, "no sandbox is called \"\(name)\"", hint: "'kars list' shows the sandboxes of this peer")
    }

    /// Of one whose pod says nothing, or has no agent.
    private static func summary(of object: KubernetesObject) -> SandboxSummary {
        let created = object.creationTimestamp.flatMap(MeshTimestamp.parse) ?? Date(timeIntervalSince1970: 0)
        return SandboxSummary(
            name: object.name, runtime: "byo",
            status: (object[path: ["status", "phase"]]?.stringValue ?? "Pending").lowercased(), driver: "kubernetes",
            did: "", home: "", homeDID: "", epoch: 0, createdAt: created, gatewayURL: nil, tokenFile: nil, limits: [])
    }

    private func destroy(_ name: String) async throws {
        guard try await client.delete(.karsSandboxes, name, namespace: settings.namespace) else {
            throw Self.unknown(name)
        }
        // Gone when its finalizer is: whoever asked may want the name again.
        for _ in 0..<240 {
            if try await client.get(.karsSandboxes, name, namespace: settings.namespace) == nil { return }
            try await Task.sleep(for: .milliseconds(250))
        }
        throw OperationFailure(
            .timedOut, "\(name) is still being deleted", hint: "'kubectl get namespace \(ClusterNames.namespace(of: name))' shows it")
    }
}
