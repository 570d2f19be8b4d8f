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
            /healthz, /readyz and /metrics answer beside the API. SIGTERM drains and ends it; \
            SIGHUP reads certificates and the secrets of providers anew.
            """,
        options: [
            ServiceOptions.listen("registry", "127.0.0.1:8080"),
            ServiceOptions.secureListen("registry"),
            ServiceOptions.data("registry"),
        ] + EntraOptions.all(audience: "Audience of the Entra tokens that verify agents") + [
            .flag(
                "require-prekey-auth", help: "Hand prekeys to registered agents only; published clients do not sign",
                environment: ServiceOptions.variable("registry", "require-prekey-auth")),
            .flag(
                "accept-unproven", help: "Register keys without proof, for clients older than the proof",
                environment: ServiceOptions.variable("registry", "accept-unproven")),
            .value(
                "anonymous-lifetime", "time", kind: .duration,
                help: "Forget anonymous agents that were silent for so long", defaultNote: "never",
                environment: ServiceOptions.variable("registry", "anonymous-lifetime")),
            .value(
                "max-agents", "n", kind: .integer(1...100_000_000), help: "Agents that may be registered",
                defaultValue: "1000000", environment: ServiceOptions.variable("registry", "max-agents")),
            .value(
                "requests-per-second", "n", kind: .integer(1...1_000_000),
                help: "Requests that one address may make for long; twice as many at once", defaultValue: "200",
                environment: ServiceOptions.variable("registry", "requests-per-second")),
            .value(
                "registrations-per-second", "n", kind: .integer(1...1_000_000),
                help: "Agents that one address may register for long; ten times as many at once",
                defaultValue: "20", environment: ServiceOptions.variable("registry", "registrations-per-second")),
        ] + SignInOptions.all + ServiceOptions.transport("registry") + [ServiceOptions.threads("registry", 1)]
            + ServiceOptions.log("registry"),
        subcommands: [
            ServiceBackup.command(
                "registry", file: RegistryService.databaseName,
                discussion: "The key of its log is not in the copy: keep the folder log-key of the data folder too, and "
                    + "elsewhere. A registry that is served from a copy hands out one-time prekeys again that were "
                    + "handed out since, and peers that saw more of its log refuse it until they are told otherwise.")
        ],
        examples: [
            Example("kars registry", "Serve this machine"),
            Example(
                "kars registry --listen 0.0.0.0:8080 --tls-cert registry.pem --tls-key registry.key",
                "Serve other machines"),
        ],
        environment: [KarsHome.variable], group: "Services"
    ) { invocation in
        let endpoint = try ServiceOptions.endpoint("listen", invocation)
        var configuration = RegistryConfiguration(
            endpoint: endpoint, dataFolder: try ServiceOptions.dataFolder("registry", invocation),
            tls: try ServiceOptions.tls(for: endpoint, invocation),
            allowPlaintext: invocation.flag("allow-plaintext"),
            threads: try invocation.integer("threads") ?? 1)
        configuration.secure = try ServiceOptions.secureListener(invocation)
        let rates = (
            requests: Double(try invocation.integer("requests-per-second") ?? 200),
            registrations: Double(try invocation.integer("registrations-per-second") ?? 20)
        )
        configuration.limits.requestsPerSecond = rates.requests
        configuration.limits.requestBurst = 2 * rates.requests
        configuration.limits.registrationsPerSecond = rates.registrations
        configuration.limits.registrationBurst = 10 * rates.registrations
        configuration.limits.maximumAgents = try invocation.integer("max-agents") ?? configuration.limits.maximumAgents
        configuration.policy.requiresPrekeyAuthorization = invocation.flag("require-prekey-auth")
        configuration.policy.acceptsUnprovenRegistrations = invocation.flag("accept-unproven")
        configuration.policy.anonymousLifetime = try invocation.duration("anonymous-lifetime")
        configuration.entra = try EntraOptions.settings(invocation, other: "entra-client-id")
        configuration.oauth = try SignInOptions.settings(invocation)
        try await ServiceRunner.run("registry", invocation) { [configuration] given in
            let service = try RegistryService(
                configuration: configuration, logger: given.logger, metrics: given.metrics,
                health: given.health)
            let place = try await service.start()
            return ServiceRunner.Running(
                address: ServiceRunner.address("http", place, isSecure: configuration.tls != nil),
                secureAddress: service.secureEndpoint.map { ServiceRunner.address("http", $0, isSecure: true) },
                reload: { try await service.reload(oauth: try SignInOptions.settings(invocation)) }
            ) { await service.stop() }
        }
    }
}
