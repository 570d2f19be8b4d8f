import CommandTree
import MeshIdentity

/// Asks for a passphrase on the terminal, without showing it.
enum PassphrasePrompt {
    /// Stands in for a person.
    static let variable = EnvironmentVariable(
        KeySealers.passphraseVariable, help: "File with the passphrase that seals the identity, for where nobody is asked")

    /// Whether there is a person to ask.
    static var isPossible: Bool { SecretPrompt.isPossible }

    /// The line that is typed, less its end. Blocks.
    static func ask() throws(IdentityError) -> SecretBytes {
        do throws(SecretPrompt.Failure) {
            return try SecretPrompt.ask("Passphrase of this peer's identity: ")
        } catch { throw .passphrase(error.description) }
    }

    /// A new passphrase, typed twice; ends the command when the person gives up. Blocks.
    static func choose() throws -> SecretBytes {
        while true {
            let first = try SecretPrompt.required("New passphrase")
            let second = try SecretPrompt.required("The same again")
            if first == second { return first }
            Console.complain("The two differ; try again.")
        }
    }
}
