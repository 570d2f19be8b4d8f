import Storage

/// The three ways to hold the key that seals everything else (design decision 7). None derives it from facts
/// that another user of the machine could guess.
public enum KeySealers {
    /// Names a file with a passphrase.
    public static let passphraseVariable = "KARS_MESH_PASSPHRASE_FILE"
    /// The credential's name in the folder that systemd gives a service.
    public static let credentialName = "kars-mesh-key"
    static let machineKeyName = "machine-key"
    static let parametersName = "passphrase-kdf.json"

    /// Work of a passphrase's derivation.
    public struct Cost: Sendable {
        let operations: Int
        let memory: Int

        /// 2 passes over 64 MiB.
        public static let interactive = Cost(
            operations: Argon2id.interactive.operations, memory: Argon2id.interactive.memory)
        /// 3 passes over 256 MiB.
        public static let moderate = Cost(
            operations: Argon2id.moderate.operations, memory: Argon2id.moderate.memory)
    }

    /// Asks a person for a passphrase.
    public typealias AskPassphrase = @Sendable () throws(IdentityError) -> SecretBytes

    /// What is there, in this order: a passphrase file, a person where the identity is sealed with a passphrase,
    /// a systemd credential, a random machine key in `folder`, which is made when absent.
    ///
    /// - Parameter ask: nil where nobody can be asked.
    public static func standard(
        folder: String, environment: [String: String], ask: AskPassphrase? = nil
    ) throws(IdentityError) -> any KeySealer {
        if let path = environment[passphraseVariable], !path.isEmpty {
            return try passphrase(file: path, folder: folder)
        }
        if Keystore.describe(folder: folder)?.kdf.source == .passphrase {
            guard let ask else { throw .passphrase("none was given; \(passphraseVariable) names a file with it") }
            return try passphrase(try ask(), folder: folder)
        }
        if let credentials = environment["CREDENTIALS_DIRECTORY"], !credentials.isEmpty,
            let sealer = try credential(file: "\(credentials)/\(credentialName)")
        {
            return sealer
        }
        return try machineKey(folder: folder)
    }

    /// A random key in an own 0600 file, made when absent.
    public static func machineKey(folder: String) throws(IdentityError) -> any KeySealer {
        let path = "\(folder)/\(machineKeyName)"
        try makeFolder(folder)
        var key = try KeyFile.read(path, limit: AESGCM.keySize, isPrivate: true)
        if key == nil {
            let fresh = SecretBytes(random: AESGCM.keySize)
            _ = try fresh.withUnsafeBytes { (bytes) throws(IdentityError) in
                try KeyFile.create(path, content: bytes)
            }
            key = try KeyFile.read(path, limit: AESGCM.keySize, isPrivate: true)
        }
        guard let key, key.count == AESGCM.keySize else { throw .damaged(path: path, reason: "not 32 bytes") }
        return SymmetricKeySealer(key: key, kdf: KeyDerivation(.machineKey))
    }

    /// The key in a systemd credential; nil when there is none.
    static func credential(file path: String) throws(IdentityError) -> (any KeySealer)? {
        guard let key = try KeyFile.read(path, limit: 4096, isPrivate: false) else { return nil }
        guard key.count == AESGCM.keySize else {
            throw .damaged(path: path, reason: "a credential has 32 bytes, not \(key.count)")
        }
        return SymmetricKeySealer(key: key, kdf: KeyDerivation(.systemdCredential))
    }

    /// A key from the passphrase in a file, less its line end. Blocks for the derivation.
    public static func passphrase(
        file path: String, folder: String, cost: Cost = .interactive
    ) throws(IdentityError) -> any KeySealer {
        guard let content = try KeyFile.read(path, limit: KeyFile.maximumPassphraseSize, isPrivate: false)
        else {
            throw .passphrase("\(path) does not exist")
        }
        let size = content.withUnsafeBytes { bytes in
            var size = bytes.count
            if size > 0, bytes[size - 1] == UInt8(ascii: "\n") { size -= 1 }
            if size > 0, bytes[size - 1] == UInt8(ascii: "\r") { size -= 1 }
            return size
        }
        guard size > 0 else { throw .passphrase("\(path) is empty") }
        let passphrase = SecretBytes(count: size) { output in
            content.withUnsafeBytes {
                output.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(size)))
            }
        }
        return try self.passphrase(passphrase, folder: folder, cost: cost)
    }

    /// A key from a passphrase. Salt and parameters are those stored in `folder`; at the first time they are
    /// made with `cost` and stored. Blocks for the derivation.
    public static func passphrase(
        _ passphrase: SecretBytes, folder: String, cost: Cost = .interactive
    ) throws(IdentityError) -> any KeySealer {
        guard passphrase.count > 0 else { throw .passphrase("it is empty") }
        let kdf = try parameters(folder: folder, cost: cost)
        guard let salt = kdf.salt, let operations = kdf.operations, let memory = kdf.memory,
            let key = Argon2id.derive(
                passphrase: passphrase, salt: salt, operations: operations, memory: memory)
        else { throw .passphrase("the stored parameters are out of range, or there is not enough memory") }
        return SymmetricKeySealer(key: key, kdf: kdf)
    }

    /// The stored parameters, else those that an identity file names, else fresh ones, which are stored.
    private static func parameters(folder: String, cost: Cost) throws(IdentityError) -> KeyDerivation {
        let path = "\(folder)/\(parametersName)"
        try makeFolder(folder)
        if let stored = try storedParameters(path) { return stored }
        var kdf = KeyDerivation(
            passphraseSalt: RandomBytes.make(Argon2id.saltSize), operations: cost.operations,
            memory: cost.memory)
        if let kept = Keystore.describe(folder: folder)?.kdf, kept.source == .passphrase { kdf = kept }
        let made: Bool
        do {
            made = try JSONCoding.encode(kdf).withUnsafeBytes { try KeyFile.create(path, content: $0) }
        } catch let error as IdentityError {
            throw error
        } catch {
            throw .file(path: path, reason: "\(error)")
        }
        if made { return kdf }
        guard let stored = try storedParameters(path) else { throw .file(path: path, reason: "was removed") }
        return stored
    }

    private static func storedParameters(_ path: String) throws(IdentityError) -> KeyDerivation? {
        let bytes: [UInt8]?
        do {
            bytes = try AtomicFile.read(path, limit: 4096)
        } catch {
            throw .file(path: path, reason: error.description)
        }
        guard let bytes else { return nil }
        guard let kdf = try? JSONCoding.decode(KeyDerivation.self, from: bytes), kdf.source == .passphrase
        else {
            throw .damaged(path: path, reason: "not parameters of Argon2id")
        }
        return kdf
    }

    static func makeFolder(_ folder: String) throws(IdentityError) {
        do {
            try AtomicFile.makeFolder(folder, mode: 0o700)
        } catch {
            throw .file(path: folder, reason: error.description)
        }
    }
}
