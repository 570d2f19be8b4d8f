/// One command of the tree: what it is called, what it takes, and what runs.
///
/// Parsing, help, completions, manual pages and the reference page all read this one description.
public struct Command: Sendable {
    /// What `run` is: the work of a command, given what the user typed.
    public typealias Action = @Sendable (Invocation) async throws -> Void

    /// The word typed on the command line.
    public var name: String
    /// Other words for the same command; they work but are listed only in its own help.
    public var aliases: [String]
    /// One short sentence without full stop, shown in the list of commands.
    public var summary: String
    /// Paragraphs shown in the command's own help, apart by an empty line.
    public var discussion: String
    /// Positional arguments in their order.
    public var arguments: [Argument]
    /// Options of this command alone; none is inherited.
    public var options: [Option]
    /// Commands below this one.
    public var subcommands: [Command]
    /// Command lines worth copying.
    public var examples: [Example]
    /// Variables the command reads beside those its options name.
    public var environment: [EnvironmentVariable]
    /// Heading the command is listed under, such as "Lifecycle".
    public var group: String?
    /// Names of sub-commands of the contract that this version does not have.
    public var later: [String]
    /// Options of the contract that this version does not have: `--tail` or `-f`, the dashes may be left out.
    public var laterOptions: [String]
    /// Whether help, completions and pages leave the command out. It still works.
    public var isHidden: Bool
    /// The work; nil when the command only holds others.
    public var run: Action?

    /// Describes a command.
    public init(
        _ name: String, aliases: [String] = [], summary: String, discussion: String = "",
        arguments: [Argument] = [], options: [Option] = [], subcommands: [Command] = [],
        examples: [Example] = [], environment: [EnvironmentVariable] = [], group: String? = nil,
        later: [String] = [], laterOptions: [String] = [], isHidden: Bool = false, run: Action? = nil
    ) {
        self.name = name
        self.aliases = aliases
        self.summary = summary
        self.discussion = discussion
        self.arguments = arguments
        self.options = options
        self.subcommands = subcommands
        self.examples = examples
        self.environment = environment
        self.group = group
        self.later = later
        self.laterOptions = laterOptions
        self.isHidden = isHidden
        self.run = run
    }
}

extension Command {
    /// The sub-command a word means, by name or alias.
    func subcommand(_ word: String) -> Command? {
        subcommands.first { $0.name == word || $0.aliases.contains(word) }
    }

    /// The option with this long name.
    func option(long: String) -> Option? {
        options.first { $0.long == long }
    }

    /// The option with this one-letter name.
    func option(short: Character) -> Option? {
        options.first { $0.short == short }
    }

    /// Sub-commands that help and completions show.
    var shownSubcommands: [Command] {
        subcommands.filter { !$0.isHidden }
    }

    /// Options that help and completions show.
    var shownOptions: [Option] {
        options.filter { !$0.isHidden }
    }
}
