import CSodium

/// A key that two peers share for the bytes of one transfer beside their session: XChaCha20-Poly1305 by libsodium, whose
/// nonces are long enough to be random.
public struct BulkKey: Sendable {
    public static let size = Int(crypto_aead_xchacha20poly1305_ietf_KEYBYTES)
    private static let nonceSize = Int(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)
    /// What a box is longer than its content.
    public static let overhead = nonceSize + Int(crypto_aead_xchacha20poly1305_ietf_ABYTES)

    private let key: SecretBytes

    /// A fresh one.
    public init() { key = SecretBytes(random: Self.size) }

    /// One that came through a session; nil unless it has 32 bytes. The caller wipes its own.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.size else { return nil }
        key = SecretBytes(copying: bytes)
    }

    /// For the session that carries it; the caller wipes it.
    public var bytes: [UInt8] { key.withUnsafeBytes { Array($0) } }

    /// Nonce, ciphertext and tag.
    ///
    /// - Parameter label: must be the same when it is opened.
    public func seal(_ content: [UInt8], label: String) -> [UInt8] {
        Sodium.ready
        let label = Array(label.utf8)
        return [UInt8](unsafeUninitializedCapacity: content.count + Self.overhead) { output, count in
            let nonce = output.baseAddress!
            randombytes_buf(nonce, Self.nonceSize)
            _ = key.withPointer {
                crypto_aead_xchacha20poly1305_ietf_encrypt(
                    nonce + Self.nonceSize, nil, content, UInt64(content.count), label, UInt64(label.count), nil,
                    nonce, $0)
            }
            count = content.count + Self.overhead
        }
    }

    /// The content, or nil when key, label and box do not belong together.
    public func open(_ box: [UInt8], label: String) -> [UInt8]? {
        guard box.count >= Self.overhead else { return nil }
        Sodium.ready
        let label = Array(label.utf8)
        let size = box.count - Self.overhead
        var isOpen = false
        let content = box.withUnsafeBufferPointer { box in
            [UInt8](unsafeUninitializedCapacity: max(size, 1)) { output, count in
                let nonce = box.baseAddress!
                isOpen = key.withPointer {
                    crypto_aead_xchacha20poly1305_ietf_decrypt(
                        output.baseAddress!, nil, nil, nonce + Self.nonceSize, UInt64(box.count - Self.nonceSize),
                        label, UInt64(label.count), nonce, $0) == 0
                }
                count = isOpen ? size : 0
            }
        }
        return isOpen ? content : nil
    }
}
