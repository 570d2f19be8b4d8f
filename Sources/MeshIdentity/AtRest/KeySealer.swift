/// Seals and opens what is at rest under one key.
public protocol KeySealer: Sendable {
    /// Source and fingerprint of the key.
    var keyID: String { get }
    /// Where the key comes from.
    var kdf: KeyDerivation { get }

    /// Seals; `associatedData` must be the same when it is opened.
    func seal(_ plaintext: UnsafeRawBufferPointer, associatedData: [UInt8]) throws(IdentityError) -> SealedBox

    /// Opens.
    ///
    /// - Throws: ``IdentityError/otherKey(expected:found:)`` or ``IdentityError/tampered``.
    func open(_ box: SealedBox, associatedData: [UInt8]) throws(IdentityError) -> SecretBytes
}

extension KeySealer {
    /// Seals an array, into the compact form for a database column.
    public func seal(_ plaintext: [UInt8], associatedData: [UInt8]) throws(IdentityError) -> [UInt8] {
        do {
            return try plaintext.withUnsafeBytes { try seal($0, associatedData: associatedData) }.encoded()
        } catch let error as IdentityError {
            throw error
        } catch {
            preconditionFailure("sealing failed in an unknown way: \(error)")
        }
    }

    /// Opens the compact form into an array, which the caller wipes where it matters.
    public func open(_ encoded: [UInt8], associatedData: [UInt8]) throws(IdentityError) -> [UInt8] {
        try open(SealedBox(encoded: encoded), associatedData: associatedData).withUnsafeBytes { Array($0) }
    }
}

/// AES-256-GCM under a 32-byte key, wherever that came from.
struct SymmetricKeySealer: KeySealer {
    let keyID: String
    let kdf: KeyDerivation
    private let key: SecretBytes

    init(key: SecretBytes, kdf: KeyDerivation) {
        precondition(key.count == AESGCM.keySize, "a sealing key has 32 bytes")
        self.key = key
        self.kdf = kdf
        // The fingerprint tells a wrong key from a damaged file; of a 32-byte key it reveals nothing usable.
        let label = Array("kars sealing key ".utf8)
        var input = key.withUnsafeBytes { label + $0 }
        defer { input.wipe() }
        keyID = "\(kdf.source.rawValue):\(Hex.encode(Array(BLAKE2b.hash(input).prefix(6))))"
    }

    func seal(_ plaintext: UnsafeRawBufferPointer, associatedData: [UInt8]) throws(IdentityError) -> SealedBox
    {
        let nonce = RandomBytes.make(AESGCM.nonceSize)
        let ciphertext = key.withUnsafeBytes {
            AESGCM.seal(plaintext, key: $0, nonce: nonce, associatedData: bound(associatedData))
        }
        return SealedBox(keyID: keyID, nonce: nonce, ciphertext: ciphertext)
    }

    func open(_ box: SealedBox, associatedData: [UInt8]) throws(IdentityError) -> SecretBytes {
        guard box.keyID == keyID else { throw .otherKey(expected: keyID, found: box.keyID) }
        let plaintext = key.withUnsafeBytes {
            AESGCM.open(box.ciphertext, key: $0, nonce: box.nonce, associatedData: bound(associatedData))
        }
        guard let plaintext else { throw .tampered }
        return plaintext
    }

    /// The box's own header is authenticated too.
    private func bound(_ associatedData: [UInt8]) -> [UInt8] {
        Array("kars-sealed-\(SealedBox.currentVersion)|\(keyID)|".utf8) + associatedData
    }
}
