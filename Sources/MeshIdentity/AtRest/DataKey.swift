import Storage

/// The random key that seals what a home holds beside its identity: sessions, prekeys, agents' keys, credentials.
///
/// It is itself sealed in `data-key.json`, once for each key that may open the home: one, and two while a rotation
/// is under way. So the key that people hold can change in one small file, and the state stays as it is.
struct DataKey {
    private static let fileName = "data-key.json"
    private static let maximumFileSize = 16_384
    /// More slots than interrupted rotations leave behind.
    private static let maximumSlots = 16

    /// The data key under one key.
    private struct Slot: Codable {
        let kdf: KeyDerivation
        let box: SealedBox
    }

    private struct File: Codable {
        static let currentVersion = 1
        let version: Int
        var slots: [Slot]
    }

    private let path: String
    private var file: File

    /// Where the key of a folder is.
    static func path(in folder: String) -> String { "\(folder)/\(fileName)" }

    /// Reads the file of a folder; nil when there is none.
    init?(folder: String) throws(IdentityError) {
        path = Self.path(in: folder)
        let bytes: [UInt8]?
        do {
            bytes = try AtomicFile.read(path, limit: Self.maximumFileSize)
        } catch {
            throw .file(path: path, reason: error.description)
        }
        guard let bytes else { return nil }
        do {
            file = try JSONCoding.decode(File.self, from: bytes)
        } catch {
            throw .damaged(path: path, reason: JSONCoding.reason(of: error))
        }
        guard file.version == File.currentVersion, (1...Self.maximumSlots).contains(file.slots.count) else {
            throw .damaged(path: path, reason: "version \(file.version) with \(file.slots.count) slots")
        }
    }

    /// Makes a fresh key that `sealer` opens, where there is none.
    ///
    /// - Returns: false when another process was first.
    static func create(folder: String, sealer: any KeySealer) throws(IdentityError) -> Bool {
        try KeySealers.makeFolder(folder)
        let file = File(
            version: File.currentVersion,
            slots: [try slot(SecretBytes(random: AESGCM.keySize), under: sealer)])
        do {
            return try JSONCoding.encode(file).withUnsafeBytes { try KeyFile.create(path(in: folder), content: $0) }
        } catch let error as IdentityError {
            throw error
        } catch {
            preconditionFailure("a key file failed in an unknown way: \(error)")
        }
    }

    /// Names of the keys that open it.
    var keyIDs: [String] { file.slots.map(\.box.keyID) }
    /// Where the keys that open it come from.
    var derivations: [KeyDerivation] { file.slots.map(\.kdf) }

    /// Opens the key with one of those that may.
    ///
    /// - Throws: ``IdentityError/otherKey(expected:found:)``, or the file is damaged.
    func open(with sealer: any KeySealer) throws(IdentityError) -> any KeySealer {
        SymmetricKeySealer(key: try key(with: sealer), kdf: KeyDerivation(.dataKey))
    }

    /// Lets another key open it too; on disk when this returns.
    mutating func admit(_ other: any KeySealer, by sealer: any KeySealer) throws(IdentityError) {
        guard !keyIDs.contains(other.keyID) else { return }
        // What interrupted rotations left goes, so that the file never grows.
        file.slots = file.slots.filter { $0.box.keyID == sealer.keyID } + [
            try Self.slot(key(with: sealer), under: other)
        ]
        try write()
    }

    /// Lets no key but one open it; on disk when this returns.
    mutating func admitOnly(_ sealer: any KeySealer) throws(IdentityError) {
        _ = try key(with: sealer)
        guard keyIDs != [sealer.keyID] else { return }
        file.slots.removeAll { $0.box.keyID != sealer.keyID }
        try write()
    }

    private func key(with sealer: any KeySealer) throws(IdentityError) -> SecretBytes {
        guard let slot = file.slots.first(where: { $0.box.keyID == sealer.keyID }) else {
            throw .otherKey(expected: sealer.keyID, found: keyIDs.joined(separator: ", "))
        }
        let key: SecretBytes
        do {
            key = try sealer.open(slot.box, associatedData: Self.associatedData(slot.kdf))
        } catch {
            throw .damaged(path: path, reason: error.description)
        }
        guard key.count == AESGCM.keySize else { throw .damaged(path: path, reason: "the key has not 32 bytes") }
        return key
    }

    private static func slot(_ key: SecretBytes, under sealer: any KeySealer) throws(IdentityError) -> Slot {
        let data = associatedData(sealer.kdf)
        let box = try key.withUnsafeBytes { (bytes) throws(IdentityError) in
            try sealer.seal(bytes, associatedData: data)
        }
        return Slot(kdf: sealer.kdf, box: box)
    }

    private static func associatedData(_ kdf: KeyDerivation) -> [UInt8] {
        Array("kars data key \(File.currentVersion)\n".utf8) + JSONCoding.encode(kdf)
    }

    private func write() throws(IdentityError) {
        do {
            try AtomicFile.write(JSONCoding.encode(file), to: path, mode: 0o600)
        } catch {
            throw .file(path: path, reason: error.description)
        }
    }
}
