import FoundationEssentials
import Glibc
import MeshIdentity
import MeshNode
import Storage

/// The credentials of a home folder: `secrets.json`, sealed whole with the key that seals the peer's identity.
///
/// A file of the public kars CLI, which holds them in plain text, is sealed the first time it is seen; so is the
/// single key that older versions kept in the file `credentials`.
struct SecretStore {
    static let fileName = "secrets.json"
    private static let legacyName = "credentials"
    private static let lockName = "secrets.lock"
    private static let maximumFileBytes = 2 << 20
    /// Most credentials, and the largest key and value in bytes.
    static let maximumCount = 256
    static let maximumKeyBytes = 128
    static let maximumValueBytes = 16 << 10
    private static let associatedData = Array("kars secrets 1".utf8)
    /// How long another command may hold the lock, which it does for a moment.
    private static let patience = Duration.seconds(5)

    private var values: [String: SecretBytes] = [:]

    var keys: [String] { values.keys.sorted() }
    subscript(key: String) -> SecretBytes? { values[key] }

    /// The first labelled variant of a key in the order of labels, such as `telegram-token.cloud`.
    func labelled(_ key: String) -> SecretBytes? {
        keys.first { $0.hasPrefix(key + ".") }.flatMap { values[$0] }
    }

    mutating func set(_ key: String, _ value: SecretBytes) throws {
        guard Self.isKey(key) else {
            throw OperationFailure(
                .invalid, "the name of a credential is 1 to \(Self.maximumKeyBytes) of a-z 0-9 . -")
        }
        guard (1...Self.maximumValueBytes).contains(value.count) else {
            throw OperationFailure(.invalid, "the value of a credential is 1 to \(Self.maximumValueBytes) bytes long")
        }
        guard values[key] != nil || values.count < Self.maximumCount else {
            throw OperationFailure(.refused, "\(Self.maximumCount) credentials are stored already")
        }
        values[key] = value
    }

    /// - Returns: whether it was there.
    mutating func remove(_ key: String) -> Bool { values.removeValue(forKey: key) != nil }

    private static func isKey(_ key: String) -> Bool {
        (1...maximumKeyBytes).contains(key.utf8.count) && key.utf8.first != UInt8(ascii: ".")
            && key.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || ".-".utf8.contains($0)
            }
    }

    // MARK: The file

    /// Gives what is stored.
    ///
    /// - Parameter sealer: asked only when there is something to open.
    static func load(_ home: KarsHome, sealer: () throws -> any KeySealer) throws -> SecretStore {
        try access(home, sealer: sealer, change: { _ in false })
    }

    /// Changes what is stored; two commands at once do not lose each other's change.
    ///
    /// - Parameter change: returns whether there is something to write.
    @discardableResult
    static func change(
        _ home: KarsHome, sealer: () throws -> any KeySealer, _ change: (inout SecretStore) throws -> Bool
    ) throws -> SecretStore {
        try access(home, sealer: sealer, change: change)
    }

    private static func access(
        _ home: KarsHome, sealer: () throws -> any KeySealer, change: (inout SecretStore) throws -> Bool
    ) throws -> SecretStore {
        try AtomicFile.makeFolder(home.path)
        let lock = try lock("\(home.path)/\(lockName)")
        defer { withExtendedLifetime(lock) {} }
        let path = "\(home.path)/\(fileName)"
        var (store, isPlain) = try read(path, sealer: sealer)
        let legacyPath = "\(home.path)/\(legacyName)"
        let isMigrating = try store.takeLegacy(legacyPath)
        let isChanged = try change(&store)
        if isChanged || isPlain || isMigrating { try store.write(path, sealer: try sealer()) }
        if isMigrating { unlink(legacyPath) }
        return store
    }

    private static func lock(_ path: String) throws -> FileLock {
        let deadline = ContinuousClock.now + patience
        while true {
            do throws(StorageError) {
                return try FileLock(path: path)
            } catch {
                guard case .locked = error, ContinuousClock.now < deadline else { throw error }
                usleep(10_000)
            }
        }
    }

    private static func read(
        _ path: String, sealer: () throws -> any KeySealer
    ) throws -> (SecretStore, isPlain: Bool) {
        guard let bytes = try AtomicFile.read(path, limit: maximumFileBytes) else { return (SecretStore(), false) }
        var store = SecretStore()
        if let box = try? JSONDecoder().decode(SealedBox.self, from: Data(bytes)) {
            let content = try sealer().open(box, associatedData: associatedData)
            guard store.decode(content) else { throw damaged(path) }
            return (store, false)
        }
        guard let plain = try? JSONDecoder().decode([String: String].self, from: Data(bytes)) else {
            throw damaged(path)
        }
        for (key, value) in plain where !value.isEmpty {
            try store.set(key, SecretBytes(copying: Array(value.utf8)))
        }
        return (store, true)
    }

    private static func damaged(_ path: String) -> OperationFailure {
        OperationFailure(
            .failed, "\(path) is damaged", hint: "move it away and store the credentials again with 'kars credentials'")
    }

    /// Takes over the provider's key of a version that kept it in a file of its own.
    private mutating func takeLegacy(_ path: String) throws -> Bool {
        guard values[KnownSecret.provider.key] == nil,
            let bytes = try AtomicFile.read(path, limit: Self.maximumValueBytes)
        else { return false }
        let text = String(decoding: bytes, as: UTF8.self).trimmingWhitespace
        guard text.utf8.count >= 10 else { return false }
        try set(KnownSecret.provider.key, SecretBytes(copying: Array(text.utf8)))
        return true
    }

    private func write(_ path: String, sealer: any KeySealer) throws {
        let content = encoded()
        let box = try content.withUnsafeBytes { try sealer.seal($0, associatedData: Self.associatedData) }
        try AtomicFile.write(Array((OutputFormat.json(box) + "\n").utf8), to: path)
    }

    // MARK: The sealed content

    // Each key and value after its length in four bytes, smallest first: values never become a String on the way.

    private func encoded() -> SecretBytes {
        let size = values.reduce(0) { $0 + 8 + $1.key.utf8.count + $1.value.count }
        return SecretBytes(count: size) { output in
            var place = 0
            func put(_ bytes: UnsafeRawBufferPointer) {
                output.storeBytes(of: UInt32(bytes.count).littleEndian, toByteOffset: place, as: UInt32.self)
                UnsafeMutableRawBufferPointer(rebasing: output[(place + 4)...]).copyMemory(from: bytes)
                place += 4 + bytes.count
            }
            for (key, value) in values.sorted(by: { $0.key < $1.key }) {
                Array(key.utf8).withUnsafeBytes { put($0) }
                value.withUnsafeBytes { put($0) }
            }
        }
    }

    /// - Returns: false when the content is not what ``encoded()`` makes.
    private mutating func decode(_ content: SecretBytes) -> Bool {
        content.withUnsafeBytes { bytes in
            var rest = bytes[...]
            func take() -> UnsafeRawBufferPointer? {
                guard rest.count >= 4 else { return nil }
                let head = UnsafeRawBufferPointer(rebasing: rest.prefix(4))
                let size = Int(UInt32(littleEndian: head.loadUnaligned(as: UInt32.self)))
                guard rest.count - 4 >= size else { return nil }
                let part = UnsafeRawBufferPointer(rebasing: rest.dropFirst(4).prefix(size))
                rest = rest.dropFirst(4 + size)
                return part
            }
            while !rest.isEmpty {
                guard let key = take(), let value = take() else { return false }
                values[String(decoding: key, as: UTF8.self)] =
                    SecretBytes(count: value.count) { $0.copyMemory(from: value) }
            }
            return true
        }
    }
}

extension SecretBytes {
    /// The bytes as text; only where an interface wants text.
    var text: String { withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }

    /// The last four characters of a long secret, and nothing of a short one.
    var masked: String {
        let text = text
        return text.count > 8 ? "••••••••" + text.suffix(4) : "••••••••"
    }
}
