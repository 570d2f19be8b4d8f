/// A script that teaches a shell to complete a program's commands, options and values.
public struct CompletionScript: Sendable {
    /// A shell a script can be written for.
    public enum Shell: String, Sendable, CaseIterable {
        case bash, zsh, fish
    }

    let program: CommandLineProgram
    let shell: Shell

    /// The script of a program for one shell.
    public init(_ program: CommandLineProgram, for shell: Shell) {
        self.program = program
        self.shell = shell
    }

    /// The whole script, to be sourced or put into the shell's completion folder.
    public var text: String {
        switch shell {
        case .bash: bash
        case .zsh: zsh
        case .fish: fish
        }
    }
}

extension CompletionScript {
    /// Every shown command.
    var places: [CommandPlace] {
        CommandPlace(program).withDescendants
    }

    /// The name of the program as part of a function's name.
    var function: String {
        "_" + program.name.map { $0.isLetter || $0.isNumber ? String($0) : "_" }.joined()
    }

    /// The commands a shell offers at a place: those below it, and for `help` those it can explain.
    func offeredCommands(at place: CommandPlace) -> [Command] {
        isHelp(place) ? program.root.shownSubcommands : place.command.shownSubcommands
    }

    private func isHelp(_ place: CommandPlace) -> Bool {
        place.path == [program.name, BuiltIn.helpCommand]
    }
}

/// What a shell offers where a value is due.
enum CompletionOffer {
    case words([String], commaSeparated: Bool)
    case files
    case directories
    case nothing

    init(_ option: Option) {
        var commaSeparated = false
        if case .list(_, _, let separated) = option.kind { commaSeparated = separated }
        self.init(option.valueKind ?? .text, option.allowed, commaSeparated: commaSeparated)
    }

    init(_ argument: Argument) {
        self.init(argument.kind, argument.allowed, commaSeparated: false)
    }

    private init(_ kind: ValueKind, _ allowed: [String]?, commaSeparated: Bool) {
        if let allowed {
            self = .words(allowed, commaSeparated: commaSeparated)
            return
        }
        switch kind {
        case .file: self = .files
        case .directory: self = .directories
        case .text, .integer, .duration, .endpoint, .url: self = .nothing
        }
    }
}

/// A word no POSIX shell looks into.
func singleQuoted(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
}
