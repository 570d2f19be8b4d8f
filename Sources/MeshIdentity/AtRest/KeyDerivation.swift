/// Where a sealing key comes from; public, stored beside what it seals.
public struct KeyDerivation: Codable, Sendable, Equatable {
    /// The three sources of a key that opens a home (design decision 7), and the key that those protect.
    public enum Source: String, Codable, Sendable {
        case machineKey = "machine-key"
        case systemdCredential = "systemd-credential"
        case passphrase = "argon2id"
        /// See ``DataKey``.
        case dataKey = "data-key"
    }

    public let source: Source
    /// Passes of Argon2id.
    public let operations: Int?
    /// Memory of Argon2id in bytes.
    public let memory: Int?
    let salt: [UInt8]?

    init(_ source: Source) {
        self.source = source
        operations = nil
        memory = nil
        salt = nil
    }
    /// Of a passphrase, with a fresh salt.
    init(cost: KeySealers.Cost) {
        self.init(
            passphraseSalt: RandomBytes.make(Argon2id.saltSize), operations: cost.operations, memory: cost.memory)
    }
    init(passphraseSalt salt: [UInt8], operations: Int, memory: Int) {
        source = .passphrase
        self.operations = operations
        self.memory = memory
        self.salt = salt
    }

    private enum CodingKeys: String, CodingKey {
        case operations, memory, salt
        case source = "algorithm"
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        source = try object.decode(Source.self, forKey: .source)
        operations = try object.decodeIfPresent(Int.self, forKey: .operations)
        memory = try object.decodeIfPresent(Int.self, forKey: .memory)
        salt = try object.decodeBase64IfPresent(.salt, count: Argon2id.saltSize)
        guard source != .passphrase || (operations != nil && memory != nil && salt != nil) else {
            throw DecodingError.dataCorruptedError(
                forKey: .source, in: object, debugDescription: "parameters are missing")
        }
    }
    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(source, forKey: .source)
        try object.encodeIfPresent(operations, forKey: .operations)
        try object.encodeIfPresent(memory, forKey: .memory)
        try object.encodeIfPresent(salt.map(Base64.encode), forKey: .salt)
    }
}
