import CSodium

/// libsodium's part of each operation and nothing else: no value is copied, nothing is checked, all buffers are
/// made before. This is the limit that an implementation on the same primitives can come near.
final class Primitives {
    private typealias Bytes = UnsafeMutablePointer<UInt8>

    private static func buffer(_ count: Int) -> Bytes {
        let bytes = Bytes.allocate(capacity: count)
        randombytes_buf(bytes, count)
        return bytes
    }

    private let key = buffer(32), otherKey = buffer(32), output = buffer(64), nonce = buffer(12)
    private let secretKey = buffer(64), publicKey = buffer(32), curveKey = buffer(32)
    private let text: Bytes
    private let textCount: UInt64
    private let signature = buffer(64), spk = buffer(32)
    private let data = buffer(256), boxNonce = buffer(12)
    private let plaintext: Bytes, box: Bytes, sealed: Bytes, opened: Bytes
    private let size: UInt64
    /// What the associated data and the header hold.
    private let dataCount: UInt64 = 187

    /// - Parameters:
    ///   - text: what is signed.
    ///   - size: bytes of a message.
    init(text: [UInt8], size: Int) {
        self.text = Self.buffer(text.count)
        self.text.update(from: text, count: text.count)
        textCount = UInt64(text.count)
        plaintext = Self.buffer(size)
        box = Self.buffer(size + 16)
        sealed = Self.buffer(size + 16)
        opened = Self.buffer(size)
        self.size = UInt64(size)
        crypto_sign_keypair(publicKey, secretKey)
        crypto_scalarmult_base(curveKey, otherKey)
        crypto_sign_detached(signature, nil, self.text, textCount, secretKey)
        crypto_aead_chacha20poly1305_ietf_encrypt(box, nil, plaintext, UInt64(size), data, dataCount, nil, boxNonce, key)
    }

    func sign() { crypto_sign_detached(output, nil, text, textCount, secretKey) }

    func verify() { precondition(crypto_sign_verify_detached(signature, text, textCount, publicKey) == 0) }

    /// Prekey's signature, image of the peer's key, two fresh pairs, four agreements and the first step of the
    /// ratchet, with their derivations.
    func initiate() {
        verify()
        _ = crypto_sign_ed25519_pk_to_curve25519(output, publicKey)
        for _ in 0..<2 { freshPair() }
        for _ in 0..<5 { _ = crypto_scalarmult(output, key, curveKey) }
        derivations(2)
    }

    /// Four agreements and their derivation.
    func respond() {
        for _ in 0..<4 { _ = crypto_scalarmult(output, key, curveKey) }
        derivations(1)
    }

    /// Two steps of the chain, a random nonce, the box.
    func encrypt() {
        chainStep()
        randombytes_buf(nonce, 12)
        crypto_aead_chacha20poly1305_ietf_encrypt(sealed, nil, plaintext, size, data, dataCount, nil, nonce, key)
    }

    /// Two steps of the chain and the box.
    func decrypt() {
        chainStep()
        let result = crypto_aead_chacha20poly1305_ietf_decrypt(
            opened, nil, nil, box, size + 16, data, dataCount, boxNonce, key)
        precondition(result == 0, "a box did not open")
    }

    private func freshPair() {
        randombytes_buf(otherKey, 32)
        crypto_scalarmult_base(curveKey, otherKey)
    }

    private func chainStep() {
        crypto_auth_hmacsha256(output, data, 1, key)
        crypto_auth_hmacsha256(output, data, 1, key)
    }

    /// HKDF is an HMAC to extract and one for each 32 bytes.
    private func derivations(_ count: Int) {
        for _ in 0..<(count * 2 + (count > 1 ? 1 : 0)) { crypto_auth_hmacsha256(output, data, 160, key) }
    }
}
