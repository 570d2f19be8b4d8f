import CommandTree
import FoundationEssentials
import Glibc
import MeshNode
import Resources
import Storage
import Transport

extension Command {
    private static let portForward = Option.flag(
        "port-forward", help: "Tunnels from ports of this machine's loopback, which stay open in the background",
        conflicts: ["allow-ip"])

    /// What `kars mesh promote` prints.
    private struct Promotion: Encodable {
        let mode: String
        let registry: String
        let relay: String
        /// File with the authorities to trust; nil where none are needed.
        var authorities: String?
        var certificateEnd: Date?
    }

    /// `kars mesh promote`
    static let meshPromote = Command(
        "promote", summary: "Make a cluster's registry and relay reachable from elsewhere",
        discussion: """
            With --port-forward from this machine alone: kubectl leads ports of its loopback to the cluster, watched by a \
            process in the background, which finds the pods again when they are replaced. With --allow-ip from these \
            addresses: a load balancer of the cluster leads to a listener with TLS; nothing is ever served beyond the cluster \
            in plain text. The certificate is one of its own, which is kept in the home folder; other machines get that file \
            and name it with 'kars node --ca'.

            'kars dev --global-registry' with the address that is printed joins that mesh. Run again, it leaves alone what works.
            """,
        options: [
            portForward,
            .value(
                "allow-ip", "cidr", help: "Who may reach it, such as 203.0.113.7 or 203.0.113.0/24,2001:db8::/32",
                conflicts: ["port-forward"]),
            .value(
                "registry-port", "port", kind: .integer(1...65_535), help: "Local port of the registry, with --port-forward",
                defaultValue: "18080"),
            .value(
                "relay-port", "port", kind: .integer(1...65_535), help: "Local port of the relay, with --port-forward",
                defaultValue: "18765"),
            ClusterCommand.namespace("agentmesh", "registry and relay"), ClusterCommand.context, Confirmation.option,
            OutputFormat.option,
        ],
        examples: [
            Example("kars mesh promote --port-forward", "Reach the present context's mesh from this machine"),
            Example("kars mesh promote --allow-ip 203.0.113.0/24", "Let an office reach it, with TLS"),
            Example("kars dev --global-registry http://localhost:18080", "Join it"),
        ],
        environment: [KarsHome.variable, ClusterDoor.kubeconfig]
    ) { invocation in
        let promotion: Promotion
        if invocation.flag("port-forward") {
            promotion = try openTunnels(invocation)
        } else {
            for name in ["registry-port", "relay-port"] where invocation.isGiven(name) {
                throw UsageError.refused("--\(name) is for --port-forward")
            }
            guard let ranges = try AddressRange.read(invocation) else {
                throw UsageError.refused(
                    "say who is to reach it: --port-forward for this machine, or --allow-ip with addresses")
            }
            promotion = try await expose(ranges, invocation)
        }
        try OutputFormat.print(promotion, invocation) {
            var text = "Registry: \(promotion.registry)\nRelay:    \(promotion.relay)\n"
            if let file = promotion.authorities {
                text += "Trust:    \(file)\n"
                if let end = promotion.certificateEnd { text += "Until:    \(end.formatted(.iso8601))\n" }
            }
            return text
        }
        if Console.showsProgress {
            Console.complain("'kars dev --global-registry \(promotion.registry)' joins it; 'kars mesh demote' ends it")
        }
    }

    private static func progress(_ step: String) {
        if Console.showsProgress { Console.complain("  \(step)") }
    }

    private static func openTunnels(_ invocation: Invocation) throws -> Promotion {
        let home = try KarsHome(invocation.environment)
        try AtomicFile.makeFolder(home.path)
        var context = try MeshContext(home)
        let ports: [MeshTunnels.Part: Int] = [
            .registry: try invocation.integer("registry-port") ?? 0, .relay: try invocation.integer("relay-port") ?? 0,
        ]
        guard ports[.registry] != ports[.relay] else {
            throw UsageError.refused("--registry-port and --relay-port must differ")
        }
        _ = try Kubectl.path(invocation.environment)
        _ = try MeshTunnels(home, environment: invocation.environment).open(
            ports: ports, namespace: invocation.required("namespace"), context: invocation.value("context"), progress: progress)
        let promotion = Promotion(
            mode: MeshContext.portForward, registry: "http://localhost:\(ports[.registry] ?? 0)",
            relay: "ws://localhost:\(ports[.relay] ?? 0)")
        try context.join(registry: promotion.registry, relay: promotion.relay, mode: promotion.mode)
        return promotion
    }

    private static func expose(_ ranges: [AddressRange], _ invocation: Invocation) async throws -> Promotion {
        let home = try KarsHome(invocation.environment)
        try AtomicFile.makeFolder(home.path)
        var context = try MeshContext(home)
        if ranges.contains(where: \.isEverything) {
            try Confirmation.require("Let everybody on the Internet reach this cluster's registry and relay", invocation)
        }
        let place = try await ClusterCommand.withClient(invocation) { client in
            try await MeshExposure(client: client, namespace: invocation.required("namespace")).open(ranges, progress: progress)
        }
        let file = home.path + "/mesh-ca.pem"
        try AtomicFile.write(place.authorities, to: file)
        try context.join(
            registry: place.registry, relay: place.relay, mode: MeshContext.loadBalancer, authorities: file)
        if let reason = await obstacle(place.registry, file) {
            Console.complain("It is open, but this machine does not reach \(place.registry): \(reason)")
        }
        return Promotion(
            mode: MeshContext.loadBalancer, registry: place.registry, relay: place.relay, authorities: file,
            certificateEnd: place.certificateEnd)
    }

    /// Why a registry cannot be reached from here; nil when it can.
    private static func obstacle(_ registry: String, _ authorities: String) async -> String? {
        do {
            let loop = try EventLoop(name: "kars")
            defer { loop.shutdown() }
            let client = HTTPClient(loop: loop, tls: ClientTLS(caFile: authorities), timeout: .seconds(10))
            _ = try await client.send(HTTPClientRequest(url: try ServiceURL(parsing: registry + "/healthz")))
            return nil
        } catch { return "\(error)" }
    }

    /// `kars mesh demote`
    static let meshDemote = Command(
        "demote", summary: "Take back what 'kars mesh promote' made reachable",
        discussion: "Ends the tunnels of this machine that were started by it; when there are none, takes the load balancers, "
            + "their certificate and the listener of the cluster away, and ingresses of the same purpose. Peers elsewhere can "
            + "reach that mesh no more; agents and state stay.",
        options: [
            ClusterCommand.namespace("agentmesh", "registry and relay"), ClusterCommand.context, Confirmation.option,
            OutputFormat.option,
        ],
        examples: [Example("kars mesh demote", "Close what was opened, after a question where others may use it")],
        environment: [KarsHome.variable, ClusterDoor.kubeconfig]
    ) { invocation in
        struct Answer: Encodable {
            /// In words.
            let removed: [String]
        }
        let home = try KarsHome(invocation.environment)
        var context = try MeshContext(home)
        var removed = try MeshTunnels(home, environment: invocation.environment).close().map { "tunnel to the \($0.rawValue)" }
        if context.promoteMode == MeshContext.loadBalancer || (removed.isEmpty && context.promoteMode != MeshContext.portForward) {
            try Confirmation.require("Cut off the peers elsewhere that use this cluster's registry and relay", invocation)
            progress("taking back what is open in the cluster")
            removed += try await ClusterCommand.withClient(invocation) { client in
                try await MeshExposure(client: client, namespace: invocation.required("namespace")).close()
            }
        }
        if context.registryMode == "global" {
            // Only the file that was made here.
            if context.authorities == home.path + "/mesh-ca.pem" { unlink(home.path + "/mesh-ca.pem") }
            try context.leave()
        }
        try OutputFormat.print(Answer(removed: removed), invocation) {
            removed.isEmpty ? "nothing was open\n" : removed.map { "removed \($0)\n" }.joined()
        }
    }
}
