/// The two derivations of the Double Ratchet (AgentMesh wire §2).
enum RatchetKeys {
    /// Root step: new root key and chain key, or nil for a point that gives no secret.
    static func step(root: [UInt8], pair: X25519KeyPair, remote: [UInt8]) -> (root: [UInt8], chain: [UInt8])?
    {
        guard var shared = X25519.agree(privateKey: pair.privateKey, publicKey: remote) else { return nil }
        defer { shared.wipe() }
        return step(root: root, shared: shared)
    }

    static func step(root: [UInt8], shared: [UInt8]) -> (root: [UInt8], chain: [UInt8]) {
        var output = HKDF.derive(salt: root, key: shared, label: "AgentMesh_Ratchet_v1", count: 64)
        defer { output.wipe() }
        return (Array(output[..<32]), Array(output[32...]))
    }

    static func messageKey(of chain: [UInt8]) -> [UInt8] { HMACSHA256.authenticate([1], key: chain) }
    static func nextChain(after chain: [UInt8]) -> [UInt8] { HMACSHA256.authenticate([2], key: chain) }
}
