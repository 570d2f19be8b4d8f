import CommandTree
import MeshIdentity
import MeshNode

extension Command {
    /// `kars mesh rekey`
    static let meshRekey = Command(
        "rekey", summary: "Change the key that seals this peer's identity and state",
        discussion: """
            The identity stays, and so does all that is sealed: what changes is the key that opens it. Without an \
            option it is one of the same kind: a fresh machine key, or a new passphrase, which is asked for twice. A \
            running node goes on; it needs the new key at its next start.

            A copy of the folder that somebody made before still opens with the old key. Where that may have \
            happened, give the identity up with 'kars mesh revoke'.
            """,
        options: [
            .flag(
                "passphrase", help: "Seal with a passphrase that is asked for",
                conflicts: ["passphrase-file", "machine-key", "credential-file"]),
            .value(
                "passphrase-file", "file", kind: .file, help: "Seal with the passphrase in a file",
                conflicts: ["machine-key", "credential-file"]),
            .flag(
                "machine-key", help: "Seal with a fresh random key in its own file", conflicts: ["credential-file"]),
            .value(
                "credential-file", "file", kind: .file,
                help: "Seal with the 32 bytes in a file, which services get as the systemd credential kars-mesh-key"),
            OutputFormat.option,
        ],
        examples: [
            Example("kars mesh rekey --passphrase", "Have a passphrase instead of a key on the disk"),
            Example("kars mesh rekey", "Replace the key by another one of its kind"),
        ],
        environment: [KarsHome.variable, PassphrasePrompt.variable], run: rekey)

    private static func rekey(_ invocation: Invocation) throws {
        let home = try KarsHome(invocation.environment).path
        guard HomeKeys.isSealed(folder: home) else {
            throw OperationFailure(.notFound, "nothing is sealed in \(home)", hint: "start a peer first: kars dev")
        }
        if invocation.flag("passphrase"), !PassphrasePrompt.isPossible { throw noTerminal }
        let keys = try HomeKeys.open(
            folder: home, environment: invocation.environment,
            ask: PassphrasePrompt.isPossible ? PassphrasePrompt.ask : nil)
        let target = try target(invocation, now: keys.identity.kdf.source)
        let changed = try KeyRotation(folder: home, keys: keys).rotate(to: target).identity
        try OutputFormat.print(
            Rekeyed(keyID: changed.keyID, formerKeyID: keys.identity.keyID, source: changed.kdf.source.rawValue),
            invocation
        ) { "sealed under \(changed.keyID) instead of \(keys.identity.keyID)\n" }
        guard OutputFormat(invocation) == .table else { return }
        switch changed.kdf.source {
        case .passphrase:
            Console.complain(
                "Without the passphrase nobody opens this peer again. Services in the background read it from the file "
                    + "that \(KeySealers.passphraseVariable) names.")
        case .systemdCredential:
            Console.complain("Give the file to the service as the credential \(KeySealers.credentialName).")
        default: break
        }
    }

    private static func target(
        _ invocation: Invocation, now: KeyDerivation.Source
    ) throws -> KeyRotation.Target {
        if let file = invocation.value("passphrase-file") {
            return .passphrase(try KeySealers.readPassphrase(file: file))
        }
        if let file = invocation.value("credential-file") { return .credential(file: file) }
        if invocation.flag("machine-key") { return .machineKey }
        switch now {
        case _ where invocation.flag("passphrase"), .passphrase:
            guard PassphrasePrompt.isPossible else { throw noTerminal }
            return .passphrase(try PassphrasePrompt.choose())
        case .systemdCredential:
            throw UsageError.refused("the present key is a systemd credential; name the new one with --credential-file")
        case .machineKey, .dataKey: return .machineKey
        }
    }

    private static let noTerminal = UsageError.refused(
        "there is no terminal to ask for a passphrase; name a file that holds it with --passphrase-file")

    private struct Rekeyed: Encodable {
        let keyID: String
        let formerKeyID: String
        let source: String
    }
}
