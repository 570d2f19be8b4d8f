import FoundationEssentials
import Storage

/// What can be said of a stored identity without opening it.
public struct KeystoreFacts: Sendable, Equatable {
    public let did: String
    public let amid: String
    public let publicKey: PublicKey
    /// ISO 8601.
    public let createdAt: String
    /// Names the key that seals it.
    public let keyID: String
    public let kdf: KeyDerivation
}

/// The file `mesh-identity.json` of a folder: one identity, sealed (design decision 7).
public struct Keystore: Sendable {
    private static let fileName = "mesh-identity.json"
    private static let maximumSize = 65_536

    /// The file.
    public let path: String
    private let folder: String
    private let sealer: any KeySealer

    public init(folder: String, sealer: any KeySealer) {
        self.folder = folder
        self.sealer = sealer
        path = Self.path(in: folder)
    }

    /// Where the identity of a folder is.
    public static func path(in folder: String) -> String { "\(folder)/\(fileName)" }

    /// The stored identity; nil when there is none.
    ///
    /// - Throws: for a damaged or changed file, or one sealed under another key; the file is left as it is.
    public func load() throws(IdentityError) -> Identity? {
        guard let file = try Self.read(path) else { return nil }
        return try file.open(with: sealer, path: path)
    }

    /// The stored identity, else a fresh one, which is on disk when this returns.
    ///
    /// Of several processes that start together one makes it and all return the same.
    public func loadOrCreate(now: Date = Date()) throws(IdentityError) -> Identity {
        if let identity = try load() { return identity }
        return try store(Identity.generate(), now: now)
    }

    /// Stores an identity where there is none.
    ///
    /// - Returns: the identity that is on disk: another one, when another process was first.
    func store(_ identity: Identity, now: Date) throws(IdentityError) -> Identity {
        try KeySealers.makeFolder(folder)
        let file = try KeystoreFile(identity: identity, createdAt: MeshTimestamp.format(now), sealer: sealer)
        let made: Bool
        do {
            made = try JSONCoding.encode(file).withUnsafeBytes { try KeyFile.create(path, content: $0) }
        } catch let error as IdentityError {
            throw error
        } catch {
            throw .file(path: path, reason: "\(error)")
        }
        if made { return identity }
        guard let other = try load() else { throw .file(path: path, reason: "was removed while it was made") }
        return other
    }

    /// Seals the same identity under another key, in one atomic step.
    ///
    /// - Returns: the keystore that opens it from now on.
    public func rotateSealing(to other: any KeySealer) throws(IdentityError) -> Keystore {
        guard let file = try Self.read(path) else { throw .file(path: path, reason: "there is no identity") }
        let identity = try file.open(with: sealer, path: path)
        try Self.replace(
            path, with: KeystoreFile(identity: identity, createdAt: file.createdAt, sealer: other))
        return Keystore(folder: folder, sealer: other)
    }

    /// Reads an identity file of the public kars CLI at ``path``, and seals it anew in its place.
    ///
    /// - Parameters:
    ///   - hostName: as the public CLI saw it.
    ///   - home: the home folder as the public CLI saw it.
    public func importPublic(hostName: String, home: String) throws(IdentityError) -> Identity {
        guard let bytes = try Self.bytes(path) else {
            throw .file(path: path, reason: "there is no identity")
        }
        let (identity, createdAt) = try PublicIdentityFile.open(
            bytes, path: path, hostName: hostName, home: home)
        try Self.replace(
            path, with: KeystoreFile(identity: identity, createdAt: createdAt, sealer: sealer))
        return identity
    }

    /// Overwrites and removes the file of a folder; needs no key.
    public static func reset(folder: String) throws(IdentityError) { try KeyFile.erase(path(in: folder)) }

    /// What the file of a folder says of itself, unchecked: nil when there is none or it does not read.
    public static func describe(folder: String) -> KeystoreFacts? {
        guard let file = try? read(path(in: folder)), let key = try? PublicKey(base64: file.publicKey) else { return nil }
        return KeystoreFacts(
            did: file.did, amid: file.amid, publicKey: key, createdAt: file.createdAt, keyID: file.keyID,
            kdf: file.kdf)
    }

    private static func read(_ path: String) throws(IdentityError) -> KeystoreFile? {
        guard let bytes = try bytes(path) else { return nil }
        do {
            return try JSONCoding.decode(KeystoreFile.self, from: bytes)
        } catch {
            if PublicIdentityFile.recognizes(bytes) { throw .publicFile(path: path) }
            throw .damaged(path: path, reason: JSONCoding.reason(of: error))
        }
    }

    private static func bytes(_ path: String) throws(IdentityError) -> [UInt8]? {
        do {
            return try AtomicFile.read(path, limit: maximumSize)
        } catch {
            throw .file(path: path, reason: error.description)
        }
    }

    private static func replace(_ path: String, with file: KeystoreFile) throws(IdentityError) {
        do {
            try AtomicFile.write(JSONCoding.encode(file), to: path, mode: 0o600)
        } catch {
            throw .file(path: path, reason: error.description)
        }
    }
}
