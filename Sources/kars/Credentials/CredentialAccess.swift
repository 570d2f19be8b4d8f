import CommandTree
import MeshIdentity

/// Opens the credentials of a command's home folder.
enum CredentialAccess {
    /// The key that seals them, and all else that the home holds beside its identity.
    static func sealer(_ home: KarsHome, _ environment: [String: String]) throws(IdentityError) -> any KeySealer {
        let ask: KeySealers.AskPassphrase?
        if PassphrasePrompt.isPossible {
            ask = { () throws(IdentityError) in try PassphrasePrompt.ask() }
        } else {
            ask = nil
        }
        return try HomeKeys.open(folder: home.path, environment: environment, ask: ask).data
    }

    static func load(_ invocation: Invocation) throws -> SecretStore {
        let home = try KarsHome(invocation.environment)
        return try SecretStore.load(home) { try sealer(home, invocation.environment) }
    }

    @discardableResult
    static func change(
        _ invocation: Invocation, _ change: (inout SecretStore) throws -> Bool
    ) throws -> SecretStore {
        let home = try KarsHome(invocation.environment)
        return try SecretStore.change(home, sealer: { try sealer(home, invocation.environment) }, change)
    }
}
