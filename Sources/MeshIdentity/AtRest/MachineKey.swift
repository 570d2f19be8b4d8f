import Glibc
import Storage

/// The random key of a folder in its own 0600 file; during a rotation the next one lies beside it.
struct MachineKey {
    static let fileName = "machine-key"

    private let path: String
    private let nextPath: String

    init(folder: String) {
        path = "\(folder)/\(Self.fileName)"
        nextPath = "\(path).next"
    }

    /// The present key or the next one, whichever has one of these names.
    func find(_ keyIDs: [String]) throws(IdentityError) -> (any KeySealer)? {
        for path in [path, nextPath] {
            if let key = try Self.read(path), keyIDs.contains(key.keyID) { return key }
        }
        return nil
    }

    /// The present key, made when absent.
    func open() throws(IdentityError) -> any KeySealer {
        if let present = try Self.read(path) { return present }
        try Self.make(path)
        guard let made = try Self.read(path) else { throw .file(path: path, reason: "was removed while it was made") }
        return made
    }

    /// Ends what an interrupted rotation left: the file holds the key of that name, and no next one is there.
    func settle(on keyID: String) throws(IdentityError) {
        if let next = try Self.read(nextPath), next.keyID == keyID { return try promote() }
        try KeyFile.erase(nextPath)
    }

    /// Makes the next key, in place of one that an interrupted rotation left.
    func makeNext() throws(IdentityError) -> any KeySealer {
        try KeyFile.erase(nextPath)
        try Self.make(nextPath)
        guard let next = try Self.read(nextPath) else { throw .file(path: nextPath, reason: "was removed") }
        return next
    }

    /// Puts the next key in the place of the present one, which is overwritten.
    func promote() throws(IdentityError) {
        try KeyFile.erase(path)
        guard rename(nextPath, path) == 0 else {
            throw .file(path: nextPath, reason: String(cString: strerror(errno)))
        }
        do {
            try AtomicFile.syncFolder(of: path)
        } catch {
            throw .file(path: path, reason: error.description)
        }
    }

    /// Overwrites and removes both.
    func erase() throws(IdentityError) {
        try KeyFile.erase(nextPath)
        try KeyFile.erase(path)
    }

    private static func read(_ path: String) throws(IdentityError) -> (any KeySealer)? {
        guard let key = try KeyFile.read(path, limit: AESGCM.keySize, isPrivate: true) else { return nil }
        guard key.count == AESGCM.keySize else { throw .damaged(path: path, reason: "not 32 bytes") }
        return SymmetricKeySealer(key: key, kdf: KeyDerivation(.machineKey))
    }

    private static func make(_ path: String) throws(IdentityError) {
        let fresh = SecretBytes(random: AESGCM.keySize)
        _ = try fresh.withUnsafeBytes { (bytes) throws(IdentityError) in try KeyFile.create(path, content: bytes) }
    }
}
