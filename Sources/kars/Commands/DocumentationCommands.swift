import CommandTree
import Storage

extension Command {
    /// `kars completion`
    static let completion: Command = Command(
        "completion", summary: "Print a completion script for a shell",
        arguments: [
            Argument(
                "shell", help: "The shell",
                allowed: CompletionScript.Shell.allCases.map(\.rawValue))
        ],
        examples: [
            Example("source <(kars completion bash)", "Complete in this shell"),
            Example("kars completion fish > ~/.config/fish/completions/kars.fish", "Complete in every fish"),
        ],
        group: "Configuration"
    ) { invocation in
        guard let shell = CompletionScript.Shell(rawValue: invocation.required("shell")) else {
            preconditionFailure("the shells of the argument are those of the scripts")
        }
        try Console.write(CompletionScript(KarsProgram.program, for: shell).text)
    }

    /// `kars manual`, for packagers.
    static let manual: Command = Command(
        "manual", summary: "Write the manual pages",
        options: [
            .value("out", "dir", kind: .directory, help: "Folder to write to", isRequired: true)
        ], isHidden: true
    ) { invocation in
        let folder = absolutePath(invocation.value("out") ?? ".")
        try AtomicFile.makeFolder(folder, mode: 0o755)
        for page in ManualPage.pages(of: KarsProgram.program) {
            try AtomicFile.write(Array(page.text.utf8), to: "\(folder)/\(page.fileName)", mode: 0o644)
        }
    }

    /// `kars reference`, for `docs/reference.md`.
    static let reference: Command = Command(
        "reference", summary: "Print the reference page", isHidden: true
    ) { _ in
        try Console.write(ReferencePage(KarsProgram.program).text)
    }
}
