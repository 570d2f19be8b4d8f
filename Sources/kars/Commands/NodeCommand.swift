import CommandTree
import MeshIdentity
import MeshNode
import NodeDaemon
import Transport

extension Command {
    /// `kars node`
    static let node = Command(
        "node", summary: "Be the peer of this place: its agents, its gate, its word on the mesh",
        discussion: """
            Runs the agents of this place in sandboxes, lets their clients in through one gateway, and moves \
            them to and from other peers. Commands reach it over a Unix socket that only its user can open.

            The first line of standard output is the gateway, as in 'listening http://127.0.0.1:18789'; \
            /healthz, /readyz and /metrics answer there too. SIGTERM ends it; its sandboxes go on running and \
            the next start takes them up again.
            """,
        options: [
            .value(
                "name", "name", help: "What other peers call this one", defaultValue: "local",
                environment: ServiceOptions.variable("node", "name")),
            ServiceOptions.data("node"),
            .value(
                "relay", "url", kind: .url(schemes: ["ws", "wss"]), help: "Relay of the mesh",
                defaultValue: "ws://127.0.0.1:8765/ws", environment: ServiceOptions.variable("node", "relay")),
            .value(
                "registry", "url", kind: .url(schemes: ["http", "https"]), help: "Registry of the mesh",
                defaultValue: "http://127.0.0.1:8080", environment: ServiceOptions.variable("node", "registry")),
            .value(
                "gateway", "HOST:PORT", kind: .endpoint,
                help: "Where clients reach the agents; port 0 lets the kernel pick",
                defaultValue: "127.0.0.1:18789", environment: ServiceOptions.variable("node", "gateway")),
            .value(
                "advertise", "url", kind: .url(schemes: ["http", "https"]),
                help: "Where other peers reach the gateway: moves then send their bulk there, sealed, and not by the relay",
                defaultNote: "the gateway itself where it and the relay are on this machine",
                environment: ServiceOptions.variable("node", "advertise")),
            .flag(
                "direct-moves", negatable: true, isOn: true,
                help: "Moves send their bulk to the other peer's gateway where they can, and not by the relay",
                environment: ServiceOptions.variable("node", "direct-moves")),
            .value(
                "socket", "path", kind: .file, help: "Unix socket for commands",
                defaultNote: "node.sock in the data folder", environment: ServiceOptions.variable("node", "socket")),
            .value(
                "pairing-token-file", "file", kind: .file, help: "File with a token to redeem at the start",
                environment: ServiceOptions.variable("node", "pairing-token-file")),
            .value(
                "trust-threshold", "score", kind: .integer(0...1000),
                help: "Least trust of a peer that wants to pair: its reputation in the registry times 1000",
                defaultValue: "0", environment: ServiceOptions.variable("node", "trust-threshold")),
            .flag(
                "require-signed-knocks",
                help: "Refuse KNOCKs that their sender did not sign whole, as published clients do not",
                environment: ServiceOptions.variable("node", "require-signed-knocks")),
            .value(
                "driver", "driver",
                help: "What runs the sandboxes: containers, bubblewrap without an engine, or the pods of a cluster",
                defaultNote: "what made those that are there, else docker where it answers",
                environment: ServiceOptions.variable("node", "driver"), allowed: DriverKind.allCases.map(\.rawValue)),
            .value(
                "ca", "file", kind: .file, help: "PEM file of the authorities to trust as relay and registry",
                defaultNote: "the system's", environment: ServiceOptions.variable("node", "ca")),
            .value(
                "relay-token-file", "file", kind: .file, help: "File with the token the relay asks for",
                environment: ServiceOptions.variable("node", "relay-token-file")),
        ] + OffloadOptions.all + ClusterOptions.all + ServiceOptions.transport("node") + ServiceOptions.log("node"),
        subcommands: [.nodeStop, .nodeAnswer],
        examples: [
            Example("kars node", "Be the peer 'local' on this machine's relay and registry"),
            Example("kars node --driver kubernetes --name cloud", "Be the controller of the cluster of the kubeconfig"),
            Example(
                "kars node --name cloud --relay wss://mesh.example/ws --registry https://mesh.example",
                "Be a peer of a mesh elsewhere"),
        ],
        environment: [KarsHome.variable, PassphrasePrompt.variable], group: "Services"
    ) { invocation in
        let gateway = try ServiceOptions.endpoint("gateway", invocation)
        guard let relay = try ServiceOptions.url("relay", invocation),
            let registry = try ServiceOptions.url("registry", invocation)
        else { throw UsageError.refused("a node needs --relay and --registry") }
        var configuration = NodeConfiguration(
            name: invocation.value("name") ?? "local", homeFolder: try KarsHome(invocation.environment).path,
            dataFolder: try ServiceOptions.dataFolder("node", invocation), relay: relay, registry: registry,
            gateway: gateway, karsExecutable: try ownExecutable())
        configuration.tls = ClientTLS(caFile: invocation.value("ca"))
        configuration.gatewayTLS = try ServiceOptions.tls(for: gateway, invocation)
        configuration.allowPlaintext = invocation.flag("allow-plaintext")
        configuration.relayToken = try SecretFile.read("relay-token-file", invocation)
        configuration.pairingToken = try SecretFile.read("pairing-token-file", invocation)
        configuration.trustThreshold = Double(try invocation.integer("trust-threshold") ?? 0)
        configuration.advertised = try ServiceOptions.url("advertise", invocation)
        configuration.movesDirectly = invocation.flag("direct-moves")
        configuration.driver = invocation.value("driver").flatMap(DriverKind.init(rawValue:))
        configuration.offloads = try OffloadOptions.limits(invocation)
        configuration.requiresSignedKnocks = invocation.flag("require-signed-knocks")
        if PassphrasePrompt.isPossible {
            configuration.askPassphrase = { () throws(IdentityError) in try PassphrasePrompt.ask() }
        }
        if let socket = invocation.value("socket") { configuration.socketPath = absolutePath(socket) }
        if configuration.driver == .kubernetes { configuration.cluster = try ClusterOptions.cluster(configuration, invocation) }
        if configuration.driver == .pod {
            let (place, controller) = try ClusterOptions.pod(invocation)
            configuration.pod = place
            configuration.controller = controller
        }
        try await ServiceRunner.run("node", invocation) { [configuration] given in
            let stepDown = try await ClusterOptions.lead(configuration.cluster, given.logger)
            let service = try await NodeService(
                configuration: configuration, logger: given.logger, metrics: given.metrics,
                health: given.health)
            let place = try await service.start()
            return ServiceRunner.Running(
                address: ServiceRunner.address("http", place, isSecure: configuration.gatewayTLS != nil)
            ) {
                await service.stop()
                await stepDown()
            }
        }
    }
}
