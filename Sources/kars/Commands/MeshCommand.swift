import CommandTree
import MeshNode

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
}
