import CommandTree
import MeshIdentity
import MeshNode
import NodeDaemon
import Storage

extension Command {
    /// `kars mesh`
    static let mesh = Command(
        "mesh", summary: "Look after this peer's place in the mesh",
        subcommands: [.meshStatus, .meshReset], group: "Agent mobility",
        later: [
            "auth", "setup-trust", "list", "security", "peer", "promote", "unpair", "demote",
        ])

    private static let meshStatus = Command(
        "status", summary: "Show this peer's identity and connections",
        discussion: "Asks the node; when none runs, shows what its identity file says.",
        options: NodeConnection.options,
        examples: [Example("kars mesh status", "See who this peer is")],
        environment: [KarsHome.variable]
    ) { invocation in
        do {
            let status = try await NodeConnection.call(PeerStatus(), invocation)
            try OutputFormat.print(status, invocation) { PeerText.facts(status) }
        } catch let failure as OperationFailure where failure.code == .unavailable {
            guard let stored = try StoredIdentity.find(invocation) else { throw failure }
            try OutputFormat.print(stored, invocation) { PeerText.facts(stored) }
        }
    }

    private static let meshReset = Command(
        "reset", summary: "Delete this peer's identity",
        discussion: "Peers and agents that trust the identity no longer will: the node makes a new one at "
            + "its next start, and must be registered and paired again. Stop the node first.",
        options: [Confirmation.option],
        examples: [Example("kars mesh reset", "Start over with a new identity, after a question")],
        environment: [KarsHome.variable]
    ) { invocation in
        guard let stored = try StoredIdentity.find(invocation) else {
            throw OperationFailure(.notFound, "there is no identity to delete")
        }
        let home = try KarsHome(invocation.environment).path
        let lockPath = home + "/" + NodeConfiguration.lockName
        let lock: FileLock
        do {
            lock = try FileLock(path: lockPath)
        } catch StorageError.locked {
            throw OperationFailure(.conflict, "the node runs", hint: "stop it, then run this again")
        }
        try Confirmation.require("Delete the identity \(stored.did) for good", invocation)
        try withExtendedLifetime(lock) { try Keystore.reset(folder: home) }
        try Console.line("deleted \(stored.did); the node's next start makes and registers a new identity")
        Console.complain("Pair with other peers again: they trust the old identity only.")
    }
}
