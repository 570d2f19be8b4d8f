import CommandTree
import MeshNode

/// How a peer looks to a person.
enum PeerText {
    static func facts(_ peer: PeerStatus.Answer, _ verification: VerificationRecord?) -> String {
        kars.facts([
            ("Name", peer.name), ("Identity", peer.did), ("AMID", peer.amid),
            ("Public key", peer.publicKey),
            ("Relay", "\(peer.relay) (\(peer.relayConnected ? "connected" : "not connected"))"),
            ("Registry", "\(peer.registry) (\(peer.registered ? "registered" : "not registered"))"),
            ("Tier", PrintableText.escaped(peer.tier ?? "unknown, the registry does not answer")),
            ("Signed in", signedIn(verification)),
            ("Gateway", peer.gateway), ("Sandboxes", String(peer.sandboxes)),
            ("Pairings", String(peer.pairings)),
        ])
    }

    static func facts(_ identity: StoredIdentity, _ verification: VerificationRecord?) -> String {
        kars.facts([
            ("Identity", identity.did), ("AMID", identity.amid),
            ("Public key", identity.publicKey.base64URL), ("Created", identity.createdAt),
            ("Signed in", signedIn(verification)),
            ("File", identity.file), ("Node", "does not run"),
        ])
    }

    private static func signedIn(_ verification: VerificationRecord?) -> String {
        guard let verification else { return "nobody ('kars mesh auth' signs in)" }
        return "\(verification.person) at \(PrintableText.escaped(verification.registryUrl)), \(verification.verifiedAt)"
    }
}
