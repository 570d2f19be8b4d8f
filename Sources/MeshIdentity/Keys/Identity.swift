import CSodium

/// An Ed25519 key pair; the private half never leaves locked memory except through ``withSeed(_:)``.
public final class Identity: Sendable {
    /// Size of a seed in bytes.
    public static let seedSize = 32

    /// The public half.
    public let publicKey: PublicKey
    /// The name to send.
    public let did: DID
    /// Seed ‖ public key, libsodium's form for signing.
    private let secretKey: SecretBytes
    /// The X25519 image of the pair, made once because every session's start needs it.
    private let imageKey: SecretBytes
    private let imagePublicKey: [UInt8]

    /// A fresh random identity.
    public static func generate() -> Identity {
        do {
            return try Identity(seed: SecretBytes(random: seedSize))
        } catch {
            preconditionFailure("a random seed was refused: \(error)")
        }
    }

    /// The pair of a 32-byte seed.
    public init(seed: SecretBytes) throws(IdentityError) {
        guard seed.count == Self.seedSize else { throw .badKey("a seed has 32 bytes, not \(seed.count)") }
        var publicBytes = [UInt8](repeating: 0, count: PublicKey.size)
        secretKey = SecretBytes(count: Int(crypto_sign_SECRETKEYBYTES)) { output in
            seed.withUnsafeBytes { seed in
                _ = crypto_sign_seed_keypair(
                    &publicBytes, output.bindMemory(to: UInt8.self).baseAddress!,
                    seed.bindMemory(to: UInt8.self).baseAddress!)
            }
        }
        imageKey = SecretBytes(count: X25519.keySize) { [secretKey] output in
            secretKey.withUnsafeBytes { secretKey in
                _ = crypto_sign_ed25519_sk_to_curve25519(
                    output.bindMemory(to: UInt8.self).baseAddress!,
                    secretKey.bindMemory(to: UInt8.self).baseAddress!)
            }
        }
        var imagePublicKey = [UInt8](repeating: 0, count: X25519.keySize)
        let isImage = imageKey.withUnsafeBytes {
            crypto_scalarmult_base(&imagePublicKey, $0.bindMemory(to: UInt8.self).baseAddress!) == 0
        }
        guard isImage else { throw .badKey("the seed has no X25519 image") }
        self.imagePublicKey = imagePublicKey
        publicKey = try PublicKey(bytes: publicBytes)
        did = publicKey.did
    }

    /// The kars name.
    public var amid: String { publicKey.amid }

    /// Ed25519 signature, 64 bytes.
    public func sign(_ message: [UInt8]) -> [UInt8] {
        secretKey.withUnsafeBytes { secretKey in
            [UInt8](unsafeUninitializedCapacity: PublicKey.signatureSize) { output, count in
                crypto_sign_detached(
                    output.baseAddress!, nil, message, UInt64(message.count),
                    secretKey.bindMemory(to: UInt8.self).baseAddress!)
                count = PublicKey.signatureSize
            }
        }
    }

    /// Signs the UTF-8 of a text.
    public func sign(_ text: String) -> [UInt8] { sign(Array(text.utf8)) }

    /// Lends the 32-byte seed; the pointer must not leave `body`.
    public func withSeed<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try secretKey.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0.prefix(Self.seedSize))) }
    }

    /// A copy of the 32-byte seed, for whoever seals it.
    public var seed: SecretBytes { withSeed { SecretBytes(pooled: $0) } }

    /// The X25519 pair of this identity (AgentMesh wire §1).
    func x25519() -> X25519KeyPair { X25519KeyPair(privateKey: imageKey, publicKey: imagePublicKey) }
}
