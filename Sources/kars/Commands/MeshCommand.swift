import CommandTree
import MeshIdentity
import MeshNode
import NodeDaemon
import Storage

extension Command {
    /// `kars mesh`
    static let mesh = Command(
        "mesh", summary: "Look after this peer's place in the mesh",
        subcommands: [
            .meshAuth, .meshStatus, .meshList, .meshUnpair, .meshSecurity, .meshPeer, .meshPromote, .meshDemote, .meshRekey,
            .meshReset, .meshRevoke, .meshTunnel,
        ], group: "Agent mobility",
        later: [
            "setup-trust",
        ])

    private static let meshStatus = Command(
        "status", summary: "Show this peer's identity and connections",
        discussion: "Asks the node; when none runs, shows what its identity file says.",
        options: NodeConnection.clusterOptions,
        examples: [Example("kars mesh status", "See who this peer is")],
        environment: [KarsHome.variable]
    ) { invocation in
        let folder = try KarsHome(invocation.environment).path
        do {
            let status = try await NodeConnection.call(PeerStatus(), invocation)
            let verification = VerificationRecord.find(in: folder, amid: status.amid)
            try OutputFormat.print(Verified(peer: status, verification: verification), invocation) {
                PeerText.facts(status, verification)
            }
        } catch let failure as OperationFailure where failure.code == .unavailable {
            guard let stored = try StoredIdentity.find(invocation) else { throw failure }
            let verification = VerificationRecord.find(in: folder, amid: stored.amid)
            try OutputFormat.print(Verified(peer: stored, verification: verification), invocation) {
                PeerText.facts(stored, verification)
            }
        }
    }

    /// A peer's facts, and beside them who signed in for it.
    private struct Verified<Peer: Encodable>: Encodable {
        let peer: Peer
        let verification: VerificationRecord?

        func encode(to encoder: any Encoder) throws {
            try peer.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encodeIfPresent(verification, forKey: .verification)
        }

        private enum CodingKeys: CodingKey { case verification }
    }

    private static let meshRevoke = Command(
        "revoke", summary: "Tell everyone that this peer's identity is not to be trusted",
        discussion: "For a key that others may have. The registry hands out no prekeys of it any more, refuses "
            + "what it signs and shows the revocation, and peers let it in no more. It cannot be undone; afterwards "
            + "stop the node, run 'kars mesh reset' and pair again.",
        options: [
            .value("reason", "text", help: "Told to everyone who looks this peer up"),
            Confirmation.option,
        ] + NodeConnection.options,
        examples: [Example("kars mesh revoke --reason 'laptop stolen'", "Give up the identity, after a question")],
        environment: [KarsHome.variable]
    ) { invocation in
        let status = try await NodeConnection.call(PeerStatus(), invocation)
        try Confirmation.require("Revoke the identity \(status.did) for ever", invocation)
        let answer = try await NodeConnection.call(
            RevokeIdentity(reason: invocation.value("reason") ?? ""), invocation)
        try OutputFormat.print(answer, invocation) { "revoked \(answer.did)\n" }
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
        try withExtendedLifetime(lock) {
            try Keystore.reset(folder: home)
            VerificationRecord.remove(in: home)
        }
        try Console.line("deleted \(stored.did); the node's next start makes and registers a new identity")
        Console.complain("Pair with other peers again: they trust the old identity only.")
    }
}
