import CommandTree
import MeshIdentity
import MeshNode

extension Command {
    /// `kars credentials`
    static let credentials = Command(
        "credentials", summary: "Keep the credentials of providers, channels and services",
        discussion: """
            Without a sub-command it asks for the inference provider, the tokens of channels and the keys of \
            services, one after the other; Enter skips one.

            They lie in secrets.json of the home folder, sealed with the key that seals the peer's identity. An \
            agent gets those it was started with, as files; the provider's it never gets.
            """,
        subcommands: [.credentialsSet, .credentialsList, .credentialsRemove, .credentialsUpdate],
        examples: [
            Example("kars credentials", "Be asked for everything"),
            Example("kars credentials set telegram-token", "Store one, typed unseen"),
            Example("kars credentials list", "See what is stored, masked"),
        ],
        environment: [KarsHome.variable, PassphrasePrompt.variable], group: "Configuration"
    ) { invocation in
        guard Console.isInteractive else {
            throw UsageError.refused(
                "there is no terminal to ask on; store one at a time with 'kars credentials set <key> --from-file <file>'")
        }
        try await CredentialsSetup.run(invocation)
    }

    private static let credentialsSet = Command(
        "set", summary: "Store one credential",
        discussion: """
            Without a value it is typed unseen, or read from standard input where there is no terminal. Other users of \
            this machine can see the words of a command line, and the shell keeps them; --from-file, standard input \
            and the prompt keep the value from both. Programs expect these keys: \
            \(KnownSecret.all.map(\.key).joined(separator: ", ")). A label after a dot, as in telegram-token.cloud, \
            keeps several of a kind.
            """,
        arguments: [
            Argument("key", help: "Name of the credential"),
            Argument("value", help: "Its value, or - to read it from standard input", isOptional: true),
        ],
        options: [.value("from-file", "file", kind: .file, help: "Read the value from a file")],
        examples: [
            Example("kars credentials set telegram-token", "Type it unseen"),
            Example("kars credentials set brave-api-key --from-file key.txt", "Take it from a file"),
        ],
        environment: [KarsHome.variable, PassphrasePrompt.variable]
    ) { invocation in
        let key = invocation.required("key")
        let known = KnownSecret.of(key)
        let value: SecretBytes
        switch (invocation.argument("value"), invocation.value("from-file")) {
        case (_?, _?): throw UsageError.conflict("<value>", "--from-file")
        case ("-", nil): value = try SecretInput.standardInput()
        case (let typed?, nil): value = SecretBytes(copying: Array(typed.utf8))
        case (nil, let file): value = try SecretInput.read("\(known?.title ?? PrintableText.escaped(key)) (not shown)", file: file)
        }
        try CredentialAccess.change(invocation) { store in
            try store.set(key, known.map { SecretBytes(copying: Array($0.normalised(value.text).utf8)) } ?? value)
            return true
        }
        if known == nil { Console.complain("warning: kars itself knows no credential called \(PrintableText.quoted(key))") }
        try Console.line("stored \(key)")
    }

    private static let credentialsList = Command(
        "list", aliases: ["ls"], summary: "List the stored credentials, masked",
        options: [OutputFormat.option],
        examples: [Example("kars credentials list", "See what is stored")],
        environment: [KarsHome.variable, PassphrasePrompt.variable]
    ) { invocation in
        let store = try CredentialAccess.load(invocation)
        let rows = store.keys.compactMap { key in
            store[key].map { StoredCredential(key: key, variable: KnownSecret.of(key)?.variable, masked: $0.masked) }
        }
        try OutputFormat.print(rows, invocation) {
            guard !rows.isEmpty else { return "nothing is stored; 'kars credentials' asks for what is needed\n" }
            var table = Table(header: ["KEY", "VALUE", "VARIABLE"])
            for row in rows { table.add([row.key, row.masked, row.variable ?? "-"]) }
            return table.text(Console.style(invocation.environment))
        }
    }

    private static let credentialsRemove = Command(
        "remove", aliases: ["rm"], summary: "Forget one credential",
        arguments: [Argument("key", help: "Name of the credential")],
        examples: [Example("kars credentials remove slack-token", "Forget it")],
        environment: [KarsHome.variable, PassphrasePrompt.variable]
    ) { invocation in
        let key = invocation.required("key")
        var wasThere = false
        try CredentialAccess.change(invocation) { store in
            wasThere = store.remove(key)
            return wasThere
        }
        guard wasThere else {
            throw OperationFailure(
                .notFound, "no credential is called \"\(key)\"", hint: "'kars credentials list' shows what is stored")
        }
        try Console.line("removed \(key)")
    }
}

/// A row of `kars credentials list`.
private struct StoredCredential: Encodable {
    let key: String
    let variable: String?
    let masked: String
}
