/// `mesh-identity.json`: an identity whose private half is sealed. Everything beside it is public, and bound
/// to it.
struct KeystoreFile: Codable {
    static let currentVersion = 1

    let version: Int
    let did: String
    let amid: String
    let publicKey: String
    let createdAt: String
    let keyID: String
    let kdf: KeyDerivation
    let nonce: String
    let ciphertext: String

    init(identity: Identity, createdAt: String, sealer: any KeySealer) throws(IdentityError) {
        version = Self.currentVersion
        did = identity.did.text
        amid = identity.amid
        publicKey = identity.publicKey.base64URL
        self.createdAt = createdAt
        keyID = sealer.keyID
        kdf = sealer.kdf
        let data = Self.associatedData(
            did: did, amid: amid, publicKey: publicKey, createdAt: createdAt, kdf: kdf)
        let box: SealedBox
        do {
            box = try identity.withSeed { try sealer.seal($0, associatedData: data) }
        } catch let error as IdentityError {
            throw error
        } catch {
            preconditionFailure("sealing failed in an unknown way: \(error)")
        }
        nonce = Base64.encode(box.nonce)
        ciphertext = Base64.encode(box.ciphertext)
    }

    /// The identity, all fields checked.
    func open(with sealer: any KeySealer, path: String) throws(IdentityError) -> Identity {
        guard version == Self.currentVersion else {
            throw .damaged(path: path, reason: "version \(version) is not \(Self.currentVersion)")
        }
        guard let nonce = Base64.decode(nonce), nonce.count == AESGCM.nonceSize,
            let ciphertext = Base64.decode(ciphertext)
        else { throw .damaged(path: path, reason: "nonce or ciphertext is not base64") }
        let data = Self.associatedData(
            did: did, amid: amid, publicKey: publicKey, createdAt: createdAt, kdf: kdf)
        let seed: SecretBytes
        do {
            seed = try sealer.open(
                SealedBox(keyID: keyID, nonce: nonce, ciphertext: ciphertext), associatedData: data)
        } catch {
            if error == .tampered { throw .damaged(path: path, reason: error.description) }
            throw error
        }
        let identity = try Identity(seed: seed)
        guard identity.publicKey.base64URL == publicKey else {
            throw .damaged(path: path, reason: "the public key is not the private key's")
        }
        return identity
    }

    private static func associatedData(
        did: String, amid: String, publicKey: String, createdAt: String, kdf: KeyDerivation
    ) -> [UInt8] {
        Array("mesh-identity \(currentVersion)\n\(did)\n\(amid)\n\(publicKey)\n\(createdAt)\n".utf8)
            + JSONCoding.encode(kdf)
    }
}
