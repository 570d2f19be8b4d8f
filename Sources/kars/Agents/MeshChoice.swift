import CommandTree
import Transport

/// The mesh that `--global-registry` names: its registry, and the relay that belongs to it.
enum MeshChoice {
    /// Ports of the tunnels to a cluster's registry and relay (behaviours §2).
    private static let tunnelPorts = (registry: 18080, relay: 18765)

    /// - Returns: nil when none was named.
    /// - Throws: a usage error when the relay cannot be told.
    static func read(_ invocation: Invocation) throws -> BackgroundServices.Mesh? {
        guard let registry = invocation.value("global-registry") else { return nil }
        if let relay = invocation.environment["KARS_NODE_RELAY"], !relay.isEmpty {
            return BackgroundServices.Mesh(registry: registry, relay: relay)
        }
        let home = try KarsHome(invocation.environment)
        let context = try MeshContext(home)
        if context.registry == registry, let relay = context.relay {
            if context.promoteMode == MeshContext.portForward {
                try MeshTunnels(home, environment: invocation.environment).reopen { step in
                    if Console.showsProgress { Console.complain("  \(step)") }
                }
            }
            return BackgroundServices.Mesh(registry: registry, relay: relay, authorities: context.authorities)
        }
        guard let relay = usualRelay(of: registry) else {
            throw UsageError.refused(
                "the relay that belongs to \(registry) is not known; name it as in "
                    + "'KARS_NODE_RELAY=wss://relay.example/ws kars dev --global-registry …'")
        }
        return BackgroundServices.Mesh(registry: registry, relay: relay)
    }

    /// `https://registry.example` has its relay at `wss://relay.example/ws`; a tunnel has it at a port of its own.
    static func usualRelay(of registry: String) -> String? {
        guard let url = try? ServiceURL(parsing: registry), case .tcp(let host, let port) = url.place else { return nil }
        let scheme = url.isSecure ? "wss" : "ws"
        if host.hasPrefix("registry.") { return "\(scheme)://relay.\(host.dropFirst("registry.".count))/ws" }
        guard ["127.0.0.1", "localhost"].contains(host), port == tunnelPorts.registry else { return nil }
        return "\(scheme)://\(host):\(tunnelPorts.relay)/ws"
    }
}
