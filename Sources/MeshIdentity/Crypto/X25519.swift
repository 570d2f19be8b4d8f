import CSodium

/// X25519 (RFC 7748).
enum X25519 {
    static let keySize = 32

    /// The shared secret, or nil for a point that leaves it all zero (a small-order public key).
    static func agree(privateKey: [UInt8], publicKey: [UInt8]) -> [UInt8]? {
        guard privateKey.count == keySize, publicKey.count == keySize else { return nil }
        Sodium.ready
        var output = [UInt8](repeating: 0, count: keySize)
        // libsodium returns -1 for an all-zero output.
        return crypto_scalarmult(&output, privateKey, publicKey) == 0 ? output : nil
    }

    static func publicKey(of privateKey: [UInt8]) -> [UInt8]? {
        guard privateKey.count == keySize else { return nil }
        Sodium.ready
        var output = [UInt8](repeating: 0, count: keySize)
        return crypto_scalarmult_base(&output, privateKey) == 0 ? output : nil
    }
}

/// A Diffie-Hellman pair; both halves have 32 bytes and belong together.
struct X25519KeyPair: Sendable, Equatable, CustomReflectable {
    private(set) var privateKey: [UInt8]
    let publicKey: [UInt8]

    /// A fresh pair.
    static func generate() -> X25519KeyPair {
        let privateKey = RandomBytes.make(X25519.keySize)
        guard let pair = X25519KeyPair(privateKey: privateKey) else {
            preconditionFailure("a random scalar has no public key")
        }
        return pair
    }

    /// Nil unless 32 bytes.
    init?(privateKey: [UInt8]) {
        guard let publicKey = X25519.publicKey(of: privateKey) else { return nil }
        self.privateKey = privateKey
        self.publicKey = publicKey
    }

    /// Two halves that belong together.
    init(privateKey: [UInt8], publicKey: [UInt8]) {
        self.privateKey = privateKey
        self.publicKey = publicKey
    }

    var customMirror: Mirror { Mirror(self, children: ["publicKey": Hex.encode(publicKey)]) }

    /// Forgets the private half.
    mutating func wipe() { privateKey.wipe() }

    /// Compares without revealing where private halves differ.
    static func == (left: X25519KeyPair, right: X25519KeyPair) -> Bool {
        left.publicKey == right.publicKey && ConstantTime.equals(left.privateKey, right.privateKey)
    }
}
