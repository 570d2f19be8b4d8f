import Glibc
import Storage

/// Changes the key that opens a home; the identity and all that is sealed stay.
///
/// Killed at any moment, it leaves a home that the key which opens its identity file opens whole: the data key is
/// sealed under both keys before the identity file changes hands, and the old one goes last.
public struct KeyRotation {
    /// The key from now on.
    public enum Target {
        /// A fresh random key in the folder.
        case machineKey
        /// Derived with a fresh salt.
        case passphrase(SecretBytes, cost: KeySealers.Cost = .interactive)
        /// A file of 32 bytes, to be given to services as a systemd credential.
        case credential(file: String)
    }

    private static let lockName = "rekey.lock"

    /// A step that was taken, for tests that end the process there.
    enum Step: CaseIterable { case made, admitted, identity, machineKey, old }

    private let folder: String
    private let keys: HomeKeys
    var onStep: (Step) throws(IdentityError) -> Void = { (_) throws(IdentityError) in }

    /// - Parameter keys: open the home now.
    public init(folder: String, keys: HomeKeys) {
        self.folder = folder
        self.keys = keys
    }

    /// Rotates. Blocks.
    ///
    /// - Returns: the keys from now on.
    /// - Throws: when another rotation runs, or a file cannot be written; the old key opens the home then, or, at
    ///   the very end, the new one does.
    public func rotate(to target: Target) throws(IdentityError) -> HomeKeys {
        let lock: FileLock
        do {
            lock = try FileLock(path: "\(folder)/\(Self.lockName)")
        } catch {
            throw .file(path: folder, reason: error.description)
        }
        defer { withExtendedLifetime(lock) {} }
        guard var dataKey = try DataKey(folder: folder) else {
            throw .file(path: DataKey.path(in: folder), reason: "there is none")
        }
        // Another rotation may have ended since the keys were opened.
        _ = try dataKey.open(with: keys.identity)
        let machineKey = MachineKey(folder: folder)
        if keys.identity.kdf.source == .machineKey { try machineKey.settle(on: keys.identity.keyID) }

        let sealer = try sealer(target, machineKey)
        try onStep(.made)
        try dataKey.admit(sealer, by: keys.identity)
        try onStep(.admitted)
        if Keystore.describe(folder: folder) != nil {
            _ = try Keystore(folder: folder, sealer: keys.identity).rotateSealing(to: sealer)
        }
        try onStep(.identity)
        if case .machineKey = target { try machineKey.promote() } else { try machineKey.erase() }
        try onStep(.machineKey)
        try dataKey.admitOnly(sealer)
        try onStep(.old)
        return HomeKeys(identity: sealer, data: try dataKey.open(with: sealer))
    }

    private func sealer(_ target: Target, _ machineKey: MachineKey) throws(IdentityError) -> any KeySealer {
        switch target {
        case .machineKey: return try machineKey.makeNext()
        case .passphrase(let passphrase, let cost):
            return try KeySealers.derive(passphrase, KeyDerivation(cost: cost))
        case .credential(let file):
            guard let sealer = try KeySealers.credential(file: file) else {
                throw .file(path: file, reason: "there is none")
            }
            return sealer
        }
    }
}
