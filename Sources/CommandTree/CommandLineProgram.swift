/// A program described once: its commands drive parsing, help, completions, manual pages and the
/// reference page.
///
/// ```swift
/// let program = CommandLineProgram(name: "kars", version: "0.1.0", summary: "Run agents", commands: [list])
/// switch program.parse(arguments, environment: environment) {
/// case .run(let command, let invocation): try await command.run?(invocation)
/// case .print(let text): print(text, terminator: "")
/// case .usageError(let line): write `line` to standard error, exit 2
/// }
/// ```
public struct CommandLineProgram: Sendable {
    /// What a command line asks for.
    public enum Outcome: Sendable {
        /// Run the command, whose `run` is not nil.
        case run(Command, Invocation)
        /// Print this text, which ends with a newline, and exit with success.
        case print(String)
        /// Print this line, which has no newline, on standard error and exit with code 2.
        case usageError(String)
    }

    /// The word that starts the program.
    public let name: String
    /// What `--version` prints.
    public let version: String
    /// One sentence without full stop.
    public let summary: String
    /// The top of the tree; its name is the program's.
    let root: Command

    /// Describes a program. The command `help`, where there are commands, and the options `--help` and
    /// `--version` come by themselves.
    ///
    /// - Parameters:
    ///   - later: commands of the contract that this version does not have.
    ///   - run: the work of a program without commands.
    public init(
        name: String, version: String, summary: String, discussion: String = "",
        commands: [Command], options: [Option] = [], examples: [Example] = [],
        environment: [EnvironmentVariable] = [], later: [String] = [], run: Command.Action? = nil
    ) {
        self.name = name
        self.version = version
        self.summary = summary
        let help = Command(
            BuiltIn.helpCommand, summary: "Show help for a command",
            arguments: [
                Argument(
                    "command", help: "The command, and perhaps its sub-command", isOptional: true,
                    isVariadic: true)
            ], options: [BuiltIn.help])
        root = Command(
            name, summary: summary, discussion: discussion,
            options: options + [BuiltIn.help, BuiltIn.version],
            subcommands: commands.isEmpty ? [] : commands.map(BuiltIn.addingHelp) + [help],
            examples: examples, environment: environment, later: later, run: run)
    }

    /// Reads a command line.
    ///
    /// - Parameters:
    ///   - arguments: the words after the program's name.
    ///   - environment: variables that stand in for options not given.
    ///   - terminal: the width and style of help.
    public func parse(
        _ arguments: [String], environment: [String: String] = [:],
        terminal: TerminalStyle = .plain
    ) -> Outcome {
        CommandLineParser(program: self, environment: environment, terminal: terminal).parse(arguments)
    }
}

/// What every program has without describing it.
enum BuiltIn {
    static let helpCommand = "help"
    static let help = Option.flag("help", short: "h", help: "Show help and exit")
    static let version = Option.flag("version", short: "V", help: "Print the version and exit")

    /// The command and all below it with `--help`.
    static func addingHelp(_ command: Command) -> Command {
        var command = command
        command.options.append(help)
        command.subcommands = command.subcommands.map(addingHelp)
        return command
    }
}
