/// The two derivations of the Double Ratchet (AgentMesh wire §2).
enum RatchetKeys {
    /// Root step: new root key and chain key, or nil for a point that gives no secret.
    static func step(
        root: SecretBytes, pair: X25519KeyPair, remote: [UInt8]
    ) -> (root: SecretBytes, chain: SecretBytes)? {
        guard let shared = X25519.agree(privateKey: pair.privateKey, publicKey: remote) else { return nil }
        return step(root: root, shared: shared)
    }

    static func step(root: SecretBytes, shared: SecretBytes) -> (root: SecretBytes, chain: SecretBytes) {
        HKDF.derive(salt: root, key: shared, label: "AgentMesh_Ratchet_v1", count: 64).withUnsafeBytes {
            (
                SecretBytes(pooled: UnsafeRawBufferPointer(rebasing: $0[..<32])),
                SecretBytes(pooled: UnsafeRawBufferPointer(rebasing: $0[32...]))
            )
        }
    }

    static func messageKey(of chain: SecretBytes) -> SecretBytes { HMACSHA256.authenticate([1], key: chain) }
    static func nextChain(after chain: SecretBytes) -> SecretBytes { HMACSHA256.authenticate([2], key: chain) }
}
