import Storage

/// The three ways to hold the key that seals everything else (design decision 7). None derives it from facts
/// that another user of the machine could guess.
public enum KeySealers {
    /// Names a file with a passphrase.
    public static let passphraseVariable = "KARS_MESH_PASSPHRASE_FILE"
    /// The credential's name in the folder that systemd gives a service.
    public static let credentialName = "kars-mesh-key"

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

    /// The key that opens a folder, or will: see ``HomeKeys/open(folder:environment:ask:)``.
    static func standard(
        folder: String, environment: [String: String], ask: (() throws(IdentityError) -> SecretBytes)? = nil
    ) throws(IdentityError) -> any KeySealer {
        if let path = environment[passphraseVariable], !path.isEmpty {
            return try passphrase(file: path, folder: folder)
        }
        let protectors = try protectors(of: folder)
        let keyIDs = protectors.map(\.keyID)
        let machineKey = MachineKey(folder: folder)
        var credential: (any KeySealer)?
        if let credentials = environment["CREDENTIALS_DIRECTORY"], !credentials.isEmpty {
            credential = try self.credential(file: "\(credentials)/\(credentialName)")
        }
        if let credential, keyIDs.contains(credential.keyID) { return credential }
        if let sealer = try machineKey.find(keyIDs) { return sealer }
        if protectors.contains(where: { $0.kdf.source == .passphrase }) {
            guard let ask else { throw .passphrase("none was given; \(passphraseVariable) names a file with it") }
            return try passphrase(try ask(), folder: folder)
        }
        if let credential { return credential }
        return try machineKey.open()
    }

    /// The random key of a folder, made when absent.
    public static func machineKey(folder: String) throws(IdentityError) -> any KeySealer {
        try makeFolder(folder)
        return try MachineKey(folder: folder).open()
    }

    /// The keys that a folder is sealed under: the identity's alone, where there is one, since that is the one which
    /// is in force while a rotation is under way.
    private static func protectors(
        of folder: String
    ) throws(IdentityError) -> [(keyID: String, kdf: KeyDerivation)] {
        try makeFolder(folder)
        if let facts = Keystore.describe(folder: folder) { return [(facts.keyID, facts.kdf)] }
        guard let key = try DataKey(folder: folder) else { return [] }
        return Array(zip(key.keyIDs, key.derivations))
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
        try passphrase(try readPassphrase(file: path), folder: folder, cost: cost)
    }

    /// The passphrase in a file, less its line end.
    public static func readPassphrase(file path: String) throws(IdentityError) -> SecretBytes {
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
        return SecretBytes(count: size) { output in
            content.withUnsafeBytes {
                output.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(size)))
            }
        }
    }

    /// A key from a passphrase. Salt and cost are those that the folder was sealed with, else fresh ones of `cost`,
    /// which are stored with the first thing that is sealed. Blocks for the derivation.
    public static func passphrase(
        _ passphrase: SecretBytes, folder: String, cost: Cost = .interactive
    ) throws(IdentityError) -> any KeySealer {
        // Several only where a rotation from one passphrase to another was cut off.
        let protectors = try protectors(of: folder).filter { $0.kdf.source == .passphrase }
        var wrong: (any KeySealer)?
        for protector in protectors {
            let sealer = try derive(passphrase, protector.kdf)
            if sealer.keyID == protector.keyID { return sealer }
            wrong = wrong ?? sealer
        }
        if let wrong { return wrong }
        return try derive(passphrase, KeyDerivation(cost: cost))
    }

    static func derive(_ passphrase: SecretBytes, _ kdf: KeyDerivation) throws(IdentityError) -> any KeySealer {
        guard passphrase.count > 0 else { throw .passphrase("it is empty") }
        guard let salt = kdf.salt, let operations = kdf.operations, let memory = kdf.memory,
            let key = Argon2id.derive(
                passphrase: passphrase, salt: salt, operations: operations, memory: memory)
        else { throw .passphrase("the stored parameters are out of range, or there is not enough memory") }
        return SymmetricKeySealer(key: key, kdf: kdf)
    }

    static func makeFolder(_ folder: String) throws(IdentityError) {
        do {
            try AtomicFile.makeFolder(folder, mode: 0o700)
        } catch {
            throw .file(path: folder, reason: error.description)
        }
    }
}
