import CSodium

/// ChaCha20-Poly1305 with a 12-byte nonce (RFC 8439); boxes are nonce ‖ ciphertext ‖ tag (AgentMesh wire §2).
enum ChaChaPoly {
    static let keySize = 32
    static let nonceSize = 12
    /// What a box is longer than its plaintext.
    static let overhead = 12 + 16

    static func seal(_ plaintext: [UInt8], key: SecretBytes, nonce: [UInt8], associatedData: [UInt8]) -> [UInt8] {
        precondition(
            key.count == keySize && nonce.count == nonceSize, "ChaCha20-Poly1305 takes 32 and 12 bytes")
        Sodium.ready
        return [UInt8](unsafeUninitializedCapacity: plaintext.count + overhead) { output, count in
            _ = output.initialize(fromContentsOf: nonce)
            _ = key.withPointer {
                crypto_aead_chacha20poly1305_ietf_encrypt(
                    output.baseAddress! + nonceSize, nil, plaintext, UInt64(plaintext.count),
                    associatedData, UInt64(associatedData.count), nil, nonce, $0)
            }
            count = plaintext.count + overhead
        }
    }

    /// The plaintext, or nil when key, data or tag do not belong together.
    static func open(_ box: [UInt8], key: SecretBytes, associatedData: [UInt8]) -> [UInt8]? {
        guard key.count == keySize, box.count >= overhead else { return nil }
        Sodium.ready
        let size = box.count - overhead
        var opened = false
        let plaintext = box.withUnsafeBufferPointer { box in
            [UInt8](unsafeUninitializedCapacity: max(size, 1)) { output, count in
                opened = key.withPointer {
                    crypto_aead_chacha20poly1305_ietf_decrypt(
                        output.baseAddress!, nil, nil, box.baseAddress! + nonceSize,
                        UInt64(box.count - nonceSize),
                        associatedData, UInt64(associatedData.count), box.baseAddress!, $0) == 0
                }
                count = opened ? size : 0
            }
        }
        return opened ? plaintext : nil
    }
}
