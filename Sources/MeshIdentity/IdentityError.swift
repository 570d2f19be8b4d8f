/// Why a key, a name or a key file was refused.
public enum IdentityError: Error, Equatable, CustomStringConvertible {
    /// Not 32 bytes, or not a point of the curve.
    case badKey(String)
    /// Not a DID or AMID.
    case badDID(String)
    /// A file could not be read or written; `reason` is the system's words.
    case file(path: String, reason: String)
    /// A file is not what was written: damaged, or changed by hand.
    case damaged(path: String, reason: String)
    /// An identity file of the public kars CLI, which must be imported first.
    case publicFile(path: String)
    /// The key that sealed it is not the key at hand.
    case otherKey(expected: String, found: String)
    /// Key, data or tag do not belong together.
    case tampered
    /// Others than the owner may read a key file.
    case exposed(path: String, mode: UInt32)
    /// A passphrase is missing, empty or too long, or the derivation has not enough memory.
    case passphrase(String)

    public var description: String {
        switch self {
        case .badKey(let reason): "key refused: \(reason)"
        case .badDID(let text): "\"\(text.prefix(80))\" is neither a did:mesh, a did:agentmesh nor an AMID"
        case .file(let path, let reason): "cannot use \(path): \(reason)"
        case .damaged(let path, let reason): "\(path) is damaged: \(reason)"
        case .publicFile(let path): "\(path) was written by another kars and must be imported"
        case .otherKey(let expected, let found):
            if expected.hasPrefix(Self.passphrasePrefix), found.hasPrefix(Self.passphrasePrefix) {
                "the passphrase is another one: sealed under key \(found), but this one gives \(expected)"
            } else {
                "sealed under key \(found), but the key at hand is \(expected)"
            }
        case .tampered: "the sealed data was changed or the key is wrong"
        case .exposed(let path, let mode):
            "\(path) may be read by others (mode \(String(mode & 0o7777, radix: 8))); make it 600"
        case .passphrase(let reason): "passphrase refused: \(reason)"
        }
    }

    private static let passphrasePrefix = KeyDerivation.Source.passphrase.rawValue + ":"
}
