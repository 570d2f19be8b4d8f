import CommandTree
import Registry

extension Command {
    /// `kars registry`
    static let registry = Command(
        "registry", summary: "Serve identities, prekeys and home records",
        discussion: """
            The directory of the AgentMesh: who is registered, the prekeys to reach them with, who is \
            present, and which peer is the home of an agent. A write is on disk before it is answered.

            The first line of standard output is the address, as in 'listening http://127.0.0.1:8080'. \
            /healthz, /readyz and /metrics answer beside the API. SIGTERM drains and ends it.
            """,
        options: [
            ServiceOptions.listen("registry", "127.0.0.1:8080"),
            ServiceOptions.data("registry"),
            .flag(
                "require-prekey-auth", help: "Give prekeys to registered agents that sign the request only",
                environment: ServiceOptions.variable("registry", "require-prekey-auth")),
        ] + ServiceOptions.transport("registry") + [ServiceOptions.threads("registry", 1)]
            + ServiceOptions.log("registry"),
        examples: [
            Example("kars registry", "Serve this machine"),
            Example(
                "kars registry --listen 0.0.0.0:8080 --tls-cert registry.pem --tls-key registry.key",
                "Serve other machines"),
        ],
        environment: [KarsHome.variable], group: "Services"
    ) { invocation in
        let endpoint = try ServiceOptions.endpoint("listen", invocation)
        var limits = RegistryLimits()
        limits.requiresPrekeyAuthorization = invocation.flag("require-prekey-auth")
        let configuration = RegistryConfiguration(
            endpoint: endpoint, dataFolder: try ServiceOptions.dataFolder("registry", invocation),
            tls: try ServiceOptions.tls(for: endpoint, invocation),
            allowPlaintext: invocation.flag("allow-plaintext"),
            threads: try invocation.integer("threads") ?? 1, limits: limits)
        try await ServiceRunner.run("registry", invocation) { given in
            let service = try RegistryService(
                configuration: configuration, logger: given.logger, metrics: given.metrics,
                health: given.health)
            let place = try await service.start()
            return ServiceRunner.Running(
                address: ServiceRunner.address("http", place, isSecure: configuration.tls != nil)
            ) { await service.stop() }
        }
    }
}
