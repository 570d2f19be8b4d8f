import CommandTree
import MeshIdentity

/// The guided questions of `kars credentials`. Each answer is stored before the next is asked for, so that whoever
/// gives up half way keeps what they confirmed.
enum CredentialsSetup {
    static func run(_ invocation: Invocation) async throws {
        let home = try KarsHome(invocation.environment)
        let current = try LocalConfiguration.load(home)
        if try current?.provider == nil || Question.yes("The provider is \(current?.provider?.title ?? "-"). Change it") {
            if let chosen = try await ProviderSetup.ask(current, offersNone: true) {
                try ProviderSetup.store(chosen, invocation)
                try Console.line("stored the provider \(chosen.configuration.provider?.title ?? "-")")
            } else {
                var none = LocalConfiguration()
                none.firstRunCompleted = true
                try none.save(home)
                try Console.line("no provider is used")
            }
        }
        Console.complain("Tokens and keys that agents may be given; Enter leaves one as it is.")
        for known in KnownSecret.forAgents {
            let stored = try CredentialAccess.load(invocation)[known.key]
            let note = stored.map { "stored: \($0.masked)" } ?? "not stored"
            guard let typed = try SecretPrompt.optional("\(known.title) (\(note))") else { continue }
            try CredentialAccess.change(invocation) { store in
                try store.set(known.key, SecretBytes(copying: Array(known.normalised(typed.text).utf8)))
                return true
            }
            try Console.line("stored \(known.key)")
        }
    }
}
