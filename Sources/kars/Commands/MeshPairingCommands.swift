import CommandTree
import Controller
import MeshNode
import Resources
import Transport

extension Command {
    /// The replica of a cluster's controller that acts; the others wait.
    private struct Leader: Encodable {
        let holder: String
        /// RFC 3339.
        let renewedAt: String?
    }

    /// What `kars mesh list` prints.
    private struct MeshList: Encodable {
        let pairings: [Pairing]
        /// Agents that live at another peer, or came from one.
        let agents: [SandboxSummary]
        /// What this peer works on for others, or failed to.
        let offloads: [OffloadProgress]
        /// Of a cluster; nil for the node of this machine.
        let leader: Leader?
    }

    /// `kars mesh list`
    static let meshList = Command(
        "list", aliases: ["ls"], summary: "List the pairings of this peer, agents that moved, and offloads",
        discussion: "Shown are all pairings, also those that wait, ended or ran out, and the agents of this peer "
            + "that live elsewhere or have moved before, and the offloads that other peers have here. With --context also "
            + "which replica of the cluster's controller acts.",
        options: NodeConnection.clusterOptions,
        examples: [Example("kars mesh list", "See whom this peer trusts, and where its agents are")],
        environment: [KarsHome.variable]
    ) { invocation in
        let list = try await NodeConnection.open(invocation) { node in
            MeshList(
                pairings: try await node.call(ListPairings()).sorted { $0.name < $1.name },
                agents: try await node.call(ListSandboxes()).filter { $0.epoch > 1 }.sorted { $0.name < $1.name },
                offloads: try await offloads(node), leader: try await leader(invocation))
        }
        try OutputFormat.print(list, invocation) {
            let style = Console.style(invocation.environment)
            let pairings =
                list.pairings.isEmpty
                ? "no pairings; 'kars pair generate' makes a token for another peer\n"
                : PairingText.table(list.pairings, style: style)
            let agents = list.agents.isEmpty ? "" : "\n" + SandboxText.table(list.agents, style: style)
            let offloads = list.offloads.isEmpty ? "" : "\n" + OffloadText.servedTable(list.offloads, style: style)
            let leader = list.leader.map { leader in
                "\nled by \(PrintableText.escaped(leader.holder))"
                    + (leader.renewedAt.map { ", as of \(PrintableText.escaped($0))" } ?? "") + "\n"
            }
            return pairings + agents + offloads + (leader ?? "")
        }
    }

    /// Who holds the controller's Lease; nil as well where whoever asks may not read it.
    private static func leader(_ invocation: Invocation) async throws -> Leader? {
        guard let context = ClusterDoor.context(invocation) else { return nil }
        let loop = try EventLoop(name: "kars")
        defer { loop.shutdown() }
        let client = try ClusterDoor.client(context, invocation, loop)
        guard let lease = try? await client.get(.leases, LeaderLease.name, namespace: ClusterDoor.namespace),
            let holder = lease["spec", "holderIdentity"]?.stringValue, !holder.isEmpty
        else { return nil }
        return Leader(holder: holder, renewedAt: lease["spec", "renewTime"]?.stringValue)
    }

    private static func offloads(_ node: NodeClient) async throws -> [OffloadProgress] {
        do {
            return try await node.call(ListOffloads(role: .served)).filter { $0.phase != .cleaned }
        } catch let failure as OperationFailure where failure.isUnknownOperation {
            // A controller of an earlier version.
            return []
        }
    }

    /// `kars mesh unpair`
    static let meshUnpair = Command(
        "unpair", summary: "End pairings and forget them",
        discussion: "The other peer can ask nothing of this one any more, at once. Agents that moved stay where they "
            + "are: bring home first what is to come back. 'kars pair revoke' ends a pairing and keeps the record.",
        options: [
            .value("name", "name", help: "The pairing to end", defaultNote: "asks which"),
            .flag("all", help: "End all pairings, without a question"),
        ] + NodeConnection.clusterOptions,
        examples: [
            Example("kars mesh unpair", "Choose one from a list"),
            Example("kars mesh unpair --name cloud", "End the pairing with cloud"),
        ],
        environment: [KarsHome.variable]
    ) { invocation in
        if let name = invocation.value("name") {
            guard !invocation.flag("all") else { throw UsageError.conflict("--name", "--all") }
            return try await unpair([name], invocation)
        }
        let names = try await NodeConnection.call(ListPairings(), invocation).map(\.name).sorted()
        if invocation.flag("all") { return try await unpair(names, invocation) }
        guard !names.isEmpty else { return try await unpair([], invocation) }
        guard Console.isInteractive else {
            throw UsageError.refused("there is no terminal to ask which pairing; give --name or --all")
        }
        let choices = names.map { (name: $0, note: "") } + [(name: "none of them", note: "")]
        let choice = try Question.choice("Which pairing is to end?", choices)
        try await unpair(choice == names.count ? [] : [names[choice]], invocation)
    }

    private static func unpair(_ names: [String], _ invocation: Invocation) async throws {
        let ended = try await NodeConnection.open(invocation) { node in
            var ended: [Pairing] = []
            for name in names { ended.append(try await node.call(RemovePairing(pairingName: name))) }
            return ended
        }
        try OutputFormat.print(ended, invocation) {
            ended.isEmpty ? "nothing to unpair\n" : ended.map { "unpaired \($0.name)\n" }.joined()
        }
    }
}
