import CSodium

/// X25519 (RFC 7748).
enum X25519 {
    static let keySize = 32

    /// The shared secret, or nil for a point that leaves it all zero (a small-order public key).
    static func agree(privateKey: SecretBytes, publicKey: [UInt8]) -> SecretBytes? {
        guard privateKey.count == keySize, publicKey.count == keySize else { return nil }
        Sodium.ready
        var isAgreed = false
        let output = SecretBytes(pooled: keySize) { output in
            // libsodium returns -1 for an all-zero output.
            isAgreed = privateKey.withPointer { crypto_scalarmult(output, $0, publicKey) } == 0
        }
        return isAgreed ? output : nil
    }

    static func publicKey(of privateKey: SecretBytes) -> [UInt8]? {
        guard privateKey.count == keySize else { return nil }
        Sodium.ready
        var output = [UInt8](repeating: 0, count: keySize)
        return privateKey.withPointer { crypto_scalarmult_base(&output, $0) } == 0 ? output : nil
    }
}

/// A Diffie-Hellman pair; both halves have 32 bytes and belong together.
struct X25519KeyPair: Sendable, Equatable, CustomReflectable {
    let privateKey: SecretBytes
    let publicKey: [UInt8]

    /// A fresh pair.
    static func generate() -> X25519KeyPair {
        let privateKey = SecretBytes(pooled: X25519.keySize) { randombytes_buf($0, X25519.keySize) }
        guard let pair = X25519KeyPair(privateKey: privateKey) else {
            preconditionFailure("a random scalar has no public key")
        }
        return pair
    }

    /// Nil unless 32 bytes.
    init?(privateKey: SecretBytes) {
        guard let publicKey = X25519.publicKey(of: privateKey) else { return nil }
        self.init(privateKey: privateKey, publicKey: publicKey)
    }

    /// Two halves that belong together.
    init(privateKey: SecretBytes, publicKey: [UInt8]) {
        self.privateKey = privateKey
        self.publicKey = publicKey
    }

    var customMirror: Mirror { Mirror(self, children: ["publicKey": Hex.encode(publicKey)]) }
}
