import MeshNode

/// How a peer looks to a person.
enum PeerText {
    static func facts(_ peer: PeerStatus.Answer) -> String {
        kars.facts([
            ("Name", peer.name), ("Identity", peer.did), ("AMID", peer.amid),
            ("Public key", peer.publicKey),
            ("Relay", "\(peer.relay) (\(peer.relayConnected ? "connected" : "not connected"))"),
            ("Registry", "\(peer.registry) (\(peer.registered ? "registered" : "not registered"))"),
            ("Gateway", peer.gateway), ("Sandboxes", String(peer.sandboxes)),
            ("Pairings", String(peer.pairings)),
        ])
    }

    static func facts(_ identity: StoredIdentity) -> String {
        kars.facts([
            ("Identity", identity.did), ("AMID", identity.amid),
            ("Public key", identity.publicKey.base64URL), ("Created", identity.createdAt),
            ("File", identity.file), ("Node", "does not run"),
        ])
    }
}
