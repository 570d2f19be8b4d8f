import COpenSSL

/// AES-256-GCM (NIST SP 800-38D) by OpenSSL; libsodium's needs processor support. Seals what is at rest.
enum AESGCM {
    static let keySize = 32
    static let nonceSize = 12
    static let tagSize = 16

    // @unchecked: a fetched EVP_CIPHER is immutable and lives as long as the process.
    private struct Algorithm: @unchecked Sendable {
        let cipher: OpaquePointer
    }
    private static let algorithm: Algorithm = {
        guard let cipher = EVP_CIPHER_fetch(nil, "AES-256-GCM", nil) else {
            preconditionFailure("OpenSSL offers no AES-256-GCM")
        }
        return Algorithm(cipher: cipher)
    }()

    /// Ciphertext with the tag appended.
    static func seal(
        _ plaintext: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, nonce: [UInt8],
        associatedData: [UInt8]
    ) -> [UInt8] {
        precondition(key.count == keySize && nonce.count == nonceSize, "AES-256-GCM takes 32 and 12 bytes")
        guard let context = EVP_CIPHER_CTX_new() else { preconditionFailure("no memory for AES-256-GCM") }
        defer { EVP_CIPHER_CTX_free(context) }
        let key = key.bindMemory(to: UInt8.self)
        let input = plaintext.bindMemory(to: UInt8.self)
        return [UInt8](unsafeUninitializedCapacity: input.count + tagSize) { output, count in
            var length: Int32 = 0
            var done = EVP_EncryptInit_ex2(context, algorithm.cipher, key.baseAddress, nonce, nil) == 1
            done =
                done
                && EVP_EncryptUpdate(context, nil, &length, associatedData, Int32(associatedData.count)) == 1
            if done && !input.isEmpty {
                done =
                    EVP_EncryptUpdate(
                        context, output.baseAddress, &length, input.baseAddress, Int32(input.count)) == 1
            }
            done = done && EVP_EncryptFinal_ex(context, output.baseAddress! + input.count, &length) == 1
            done =
                done
                && EVP_CIPHER_CTX_ctrl(
                    context, EVP_CTRL_AEAD_GET_TAG, Int32(tagSize), output.baseAddress! + input.count) == 1
            precondition(done, "AES-256-GCM failed to seal")
            count = input.count + tagSize
        }
    }

    /// The plaintext, or nil when key, nonce, data or tag do not belong together.
    static func open(
        _ box: [UInt8], key: UnsafeRawBufferPointer, nonce: [UInt8], associatedData: [UInt8]
    ) -> SecretBytes? {
        guard key.count == keySize, nonce.count == nonceSize, box.count >= tagSize,
            box.count < Int(Int32.max),
            let context = EVP_CIPHER_CTX_new()
        else { return nil }
        defer { EVP_CIPHER_CTX_free(context) }
        let key = key.bindMemory(to: UInt8.self)
        let size = box.count - tagSize
        var tag = Array(box[size...])
        var opened = false
        let plaintext = SecretBytes(count: size) { output in
            var length: Int32 = 0
            let output = output.bindMemory(to: UInt8.self)
            var scratch: UInt8 = 0
            opened =
                EVP_DecryptInit_ex2(context, algorithm.cipher, key.baseAddress, nonce, nil) == 1
                && EVP_DecryptUpdate(context, nil, &length, associatedData, Int32(associatedData.count)) == 1
                && (size == 0
                    || EVP_DecryptUpdate(context, output.baseAddress, &length, box, Int32(size)) == 1)
                && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tagSize), &tag) == 1
                && EVP_DecryptFinal_ex(context, &scratch, &length) == 1
            // What was decrypted before the tag failed must not be seen.
            if !opened { output.initialize(repeating: 0) }
        }
        // A failed tag leaves an entry in the thread's error queue.
        if !opened { ERR_clear_error() }
        return opened ? plaintext : nil
    }
}
