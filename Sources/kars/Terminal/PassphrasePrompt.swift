import MeshIdentity

/// Asks for a passphrase on the terminal, without showing it.
enum PassphrasePrompt {
    /// Whether there is a person to ask.
    static var isPossible: Bool { SecretPrompt.isPossible }

    /// The line that is typed, less its end. Blocks.
    static func ask() throws(IdentityError) -> SecretBytes {
        do throws(SecretPrompt.Failure) {
            return try SecretPrompt.ask("Passphrase of this peer's identity: ")
        } catch { throw .passphrase(error.description) }
    }
}
