import CommandTree
import Controller
import FoundationEssentials
import Glibc
import MeshIdentity
import MeshNode
import NodeDaemon
import Observability
import Resources
import Sandboxes
import Storage
import Transport

/// What `kars node` needs to know in a cluster: as the controller, or as the node of a pod.
enum ClusterOptions {
    /// Options of the controller.
    static let all: [Option] = [
        .value(
            "context", "name", help: "Context of the kubeconfig, for a controller outside of its cluster",
            defaultNote: "the service account of its pod, or the kubeconfig's own",
            environment: ServiceOptions.variable("node", "context")),
        .value(
            "image", "image", help: "Image of kars itself in the pods of a cluster", defaultValue: "kars:dev",
            environment: ServiceOptions.variable("node", "image")),
        .value(
            "storage-class", "name", help: "Storage class of the claims of pods", defaultNote: "the cluster's own",
            environment: ServiceOptions.variable("node", "storage-class")),
        .value(
            "storage-size", "size", help: "Size of the claims of pods", defaultValue: "10Gi",
            environment: ServiceOptions.variable("node", "storage-size")),
        .value(
            "host-path", "folder", help: "Keep the state of pods in this folder of their machine, where there are no claims",
            environment: ServiceOptions.variable("node", "host-path")),
        .value(
            "node-pool", "name", help: "Run pods on machines labelled kars.azure.com/pool with this value",
            defaultNote: "any machine", environment: ServiceOptions.variable("node", "node-pool")),
        .flag(
            "egress-guard", negatable: true, isOn: true,
            help: "Pods close the network to their agent by rules of their own, beside the NetworkPolicy",
            environment: ServiceOptions.variable("node", "egress-guard")),
        .flag(
            "advertise-pods",
            help: "Pods tell other peers their own address: moves then send their bulk there, where pods can be reached",
            environment: ServiceOptions.variable("node", "advertise-pods")),
        .flag(
            "federation", negatable: true, isOn: true,
            help: "Deal with paired peers elsewhere; else only with the nodes of the pods ('kars mesh peer')",
            environment: ServiceOptions.variable("node", "federation")),
        .value(
            "sandboxes-per-peer", "count", kind: .integer(1...10_000),
            help: "Agents that one peer may bring to a cluster", defaultValue: "64",
            environment: ServiceOptions.variable("node", "sandboxes-per-peer")),
    ]

    /// What the options of a controller say.
    static func cluster(
        _ configuration: NodeConfiguration, _ invocation: Invocation
    ) throws -> (settings: ClusterSettings, api: KubernetesConfiguration) {
        let api: KubernetesConfiguration
        do {
            api = try KubernetesConfiguration.load(
                environment: invocation.environment, context: invocation.value("context"))
        } catch {
            throw UsageError.refused("--driver kubernetes: \(error)")
        }
        var settings = ClusterSettings(
            name: configuration.name, image: invocation.value("image") ?? "kars:dev",
            relay: configuration.relay.description, registry: configuration.registry.description)
        if let namespace = invocation.environment["POD_NAMESPACE"], !namespace.isEmpty { settings.namespace = namespace }
        if let folder = invocation.value("host-path") {
            guard folder.hasPrefix("/") else { throw UsageError.refused("--host-path must be an absolute path") }
            settings.storage = .hostPath(folder)
        } else {
            settings.storage = .claim(
                storageClass: invocation.value("storage-class"), size: invocation.value("storage-size") ?? "10Gi")
        }
        if let file = configuration.tls.caFile {
            guard let bytes = try AtomicFile.read(file) else { throw UsageError.refused("--ca: there is no file \(file)") }
            settings.authorities = String(decoding: bytes, as: UTF8.self)
        }
        settings.relayToken = configuration.relayToken
        settings.nodePool = invocation.value("node-pool")
        settings.guardsEgress = invocation.flag("egress-guard")
        settings.advertisesPods = invocation.flag("advertise-pods")
        settings.federates = invocation.flag("federation")
        settings.sandboxesPerPeer = try invocation.integer("sandboxes-per-peer") ?? 64
        return (settings, api)
    }

    /// The pod that the controller started this node in; it says so in variables, as nobody types them.
    static func pod(_ invocation: Invocation) throws -> (place: PodDriver.Place, controller: PublicKey) {
        let environment = invocation.environment
        guard let sandbox = environment["KARS_POD_SANDBOX"], let key = environment["KARS_POD_CONTROLLER"] else {
            throw UsageError.refused("--driver pod is for the nodes that the controller of a cluster starts")
        }
        guard let bytes = Base64.decode(key), let controller = try? PublicKey(bytes: bytes) else {
            throw UsageError.refused("KARS_POD_CONTROLLER is no key")
        }
        var command: [String] = []
        if let text = environment["KARS_POD_COMMAND"] {
            guard let words = try? JSONDecoder().decode([String].self, from: Data(text.utf8)) else {
                throw UsageError.refused("KARS_POD_COMMAND is no list of words")
            }
            command = words
        }
        return (PodDriver.Place(sandbox: sandbox, image: environment["KARS_POD_IMAGE"], command: command), controller)
    }

    /// Waits until this replica of a controller leads, and ends the process when it leads no more: another one acts then.
    ///
    /// - Returns: gives the place up.
    static func lead(
        _ cluster: (settings: ClusterSettings, api: KubernetesConfiguration)?, _ logger: Logger
    ) async throws -> @Sendable () async -> Void {
        guard let cluster else { return {} }
        let loop = try EventLoop(name: "lease")
        let lease = LeaderLease(
            client: KubernetesClient(configuration: cluster.api, loop: loop, logger: logger),
            namespace: cluster.settings.namespace, holder: "kars-controller-\(Hex.encode(RandomBytes.make(6)))",
            logger: logger)
        try await lease.acquire()
        let holding = Task {
            await lease.hold()
            guard !Task.isCancelled else { return }
            logger.error("this replica no longer leads, and ends")
            exit(1)
        }
        return {
            holding.cancel()
            await lease.release()
            loop.shutdown()
        }
    }
}
