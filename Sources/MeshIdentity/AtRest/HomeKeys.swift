import Glibc

/// The keys that open one home folder.
public struct HomeKeys: Sendable {
    /// Seals the identity file, and ``data``.
    public let identity: any KeySealer
    /// Seals everything else; it stays when ``identity`` is changed.
    public let data: any KeySealer

    /// Whether a folder holds anything that is sealed.
    public static func isSealed(folder: String) -> Bool {
        let paths: [String] = [Keystore.path(in: folder), DataKey.path(in: folder)]
        return paths.contains { access($0, F_OK) == 0 }
    }

    /// Opens them, by the first that is there of: a passphrase file, a person where the home is sealed with a
    /// passphrase, a systemd credential, a random machine key in the folder. What is absent is made.
    ///
    /// - Parameter ask: asks for the passphrase; nil where nobody can be asked.
    /// - Throws: when the home was sealed with another key; nothing is changed then.
    public static func open(
        folder: String, environment: [String: String], ask: KeySealers.AskPassphrase? = nil
    ) throws(IdentityError) -> HomeKeys {
        let answer = PassphraseAnswer(ask)
        var refusal: IdentityError?
        // A rotation in another process changes two files, and another process may be the first to make them:
        // both are over at the second look.
        for _ in 0..<3 {
            let sealer = try KeySealers.standard(folder: folder, environment: environment, ask: answer.ask)
            do throws(IdentityError) {
                if let facts = Keystore.describe(folder: folder), facts.keyID != sealer.keyID {
                    throw .otherKey(expected: sealer.keyID, found: facts.keyID)
                }
                if let key = try DataKey(folder: folder) {
                    return HomeKeys(identity: sealer, data: try key.open(with: sealer))
                }
                _ = try DataKey.create(folder: folder, sealer: sealer)
            } catch {
                guard case .otherKey = error else { throw error }
                refusal = error
            }
        }
        throw refusal ?? .file(path: DataKey.path(in: folder), reason: "was removed while it was made")
    }
}

/// Asks once, however often the answer is needed.
private final class PassphraseAnswer {
    private let question: KeySealers.AskPassphrase?
    private var answer: SecretBytes?

    init(_ question: KeySealers.AskPassphrase?) { self.question = question }

    var ask: (() throws(IdentityError) -> SecretBytes)? {
        guard let question else { return nil }
        return { () throws(IdentityError) in
            if let answer = self.answer { return answer }
            let answer = try question()
            self.answer = answer
            return answer
        }
    }
}
