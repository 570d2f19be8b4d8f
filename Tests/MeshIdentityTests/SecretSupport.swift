@testable import MeshIdentity

// Vectors are arrays, and so is what a test changes.
extension SecretBytes {
    var array: [UInt8] { withUnsafeBytes { Array($0) } }
}

extension X25519KeyPair {
    init?(privateKey: [UInt8]) { self.init(privateKey: SecretBytes(copying: privateKey)) }
}

extension RatchetSession {
    init(serialized secret: SecretBytes) throws { self = try secret.withUnsafeBytes { try Self(serialized: $0) } }
    init(serialized bytes: [UInt8]) throws { self = try bytes.withUnsafeBytes { try Self(serialized: $0) } }
}

extension PrekeyStore {
    init(serialized secret: SecretBytes) throws { self = try secret.withUnsafeBytes { try Self(serialized: $0) } }
    init(serialized bytes: [UInt8]) throws { self = try bytes.withUnsafeBytes { try Self(serialized: $0) } }
}

extension StoredState {
    static func decode(_ bytes: [UInt8]) throws -> StoredState {
        try bytes.withUnsafeBytes { try StoredKeys.decode(StoredState.self, from: $0) }
    }
}
