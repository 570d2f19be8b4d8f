import CommandTree
import Relay
import Transport

extension Command {
    /// `kars relay`
    static let relay = Command(
        "relay", summary: "Carry sealed messages between peers",
        discussion: """
            A store-and-forward relay of the AgentMesh. It sees addresses and ciphertext, never plaintext. \
            A message is on disk before its sender gets a receipt, and stays until its recipient has it.

            The first line of standard output is the address, as in 'listening ws://127.0.0.1:8765'; \
            WebSockets are taken at /ws and /, and /healthz, /readyz and /metrics answer over HTTP. \
            SIGTERM drains and ends it; SIGHUP reads certificate and token anew.
            """,
        options: [
            ServiceOptions.listen("relay", "127.0.0.1:8765"),
            ServiceOptions.secureListen("relay"),
            ServiceOptions.data("relay"),
            .value(
                "registry", "url", kind: .url(schemes: ["http", "https"]),
                help: "Registry that knows who is registered",
                environment: ServiceOptions.variable("relay", "registry")),
            .flag(
                "require-registration", help: "Admit only identities the registry knows",
                environment: ServiceOptions.variable("relay", "require-registration")),
            .value(
                "ca", "file", kind: .file, help: "PEM file of the authorities to trust as registry",
                defaultNote: "the system's", environment: ServiceOptions.variable("relay", "ca")),
            .value(
                "token-file", "file", kind: .file, help: "File with a token every client must show",
                environment: ServiceOptions.variable("relay", "token-file")),
        ] + EntraOptions.all(audience: "Admit applications by Entra tokens for this audience")
            + RelayLimitOptions.all + ServiceOptions.transport("relay") + [ServiceOptions.threads("relay", 2)]
            + ServiceOptions.log("relay"),
        subcommands: [
            ServiceBackup.command(
                "relay", file: RelayService.databaseName,
                discussion: "It holds sealed messages that wait for their recipients. Messages that were delivered "
                    + "after the copy was made are delivered again from it; recipients know them by their ids.")
        ],
        examples: [
            Example("kars relay", "Serve this machine"),
            Example(
                "kars relay --listen 0.0.0.0:8765 --tls-cert relay.pem --tls-key relay.key",
                "Serve other machines"),
        ],
        environment: [KarsHome.variable], group: "Services"
    ) { invocation in
        let endpoint = try ServiceOptions.endpoint("listen", invocation)
        var configuration = RelayConfiguration(
            endpoint: endpoint, dataFolder: try ServiceOptions.dataFolder("relay", invocation))
        configuration.tls = try ServiceOptions.tls(for: endpoint, invocation)
        configuration.secure = try ServiceOptions.secureListener(invocation)
        configuration.allowPlaintext = invocation.flag("allow-plaintext")
        configuration.registry = try ServiceOptions.url("registry", invocation)
        configuration.registryTLS = ClientTLS(caFile: invocation.value("ca"))
        configuration.requireRegistration = invocation.flag("require-registration")
        guard configuration.registry != nil || !configuration.requireRegistration else {
            throw UsageError.refused("--require-registration needs --registry")
        }
        configuration.sharedToken = try SecretFile.read("token-file", invocation).map { Array($0.utf8) }
        configuration.entra = try EntraOptions.settings(invocation)
        guard configuration.entra == nil || configuration.sharedToken == nil else {
            throw UsageError.refused("--token-file and --entra-audience exclude each other")
        }
        configuration.limits = try RelayLimitOptions.limits(invocation)
        configuration.threads = try invocation.integer("threads") ?? configuration.threads
        try await ServiceRunner.run("relay", invocation) { [configuration] given in
            let (files, wanted) = (DescriptorLimit.raise(), configuration.limits.connections)
            if files < wanted + RelayLimitOptions.otherFiles {
                given.logger.warn(
                    "fewer connections than allowed will fit: raise the hard limit of open files (ulimit -Hn)",
                    ["files": files, "max-connections": wanted])
            }
            let service = try RelayService(
                configuration: configuration, logger: given.logger, metrics: given.metrics,
                health: given.health)
            let place = try await service.start()
            return ServiceRunner.Running(
                address: ServiceRunner.address("ws", place, isSecure: configuration.tls != nil),
                secureAddress: service.secureEndpoint.map { ServiceRunner.address("ws", $0, isSecure: true) },
                reload: {
                    let token = try SecretFile.read("token-file", invocation)
                    try await service.reload(sharedToken: token.map { Array($0.utf8) })
                }
            ) { await service.stop() }
        }
    }
}
