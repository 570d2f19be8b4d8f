/// A command and where it stands in the tree.
struct CommandPlace: Sendable {
    /// The program's name and the commands below it.
    let path: [String]
    let command: Command

    /// The top of the tree.
    init(_ program: CommandLineProgram) {
        path = [program.name]
        command = program.root
    }

    private init(path: [String], command: Command) {
        self.path = path
        self.command = command
    }

    var isRoot: Bool { path.count == 1 }

    /// The path as it is typed.
    var line: String { path.joined(separator: " ") }

    /// The command below that a word means.
    func child(_ word: String) -> CommandPlace? {
        command.subcommand(word).map { CommandPlace(path: path + [$0.name], command: $0) }
    }

    /// This place and all shown ones below it, parents first.
    var withDescendants: [CommandPlace] {
        [self]
            + command.shownSubcommands.flatMap {
                CommandPlace(path: path + [$0.name], command: $0).withDescendants
            }
    }

    /// The ways to call it: `kars handoff <name> [options]`, and `kars dev <command>` where it also
    /// holds others.
    var usages: [String] {
        let holdsOthers = !command.shownSubcommands.isEmpty
        var words = [line]
        if command.run == nil, holdsOthers { words.append("<command>") }
        words += command.arguments.map(\.usage)
        words += command.shownOptions.filter(\.isRequired).map { "--\($0.long) <\($0.valueName ?? "")>" }
        if command.shownOptions.contains(where: { !$0.isRequired }) { words.append("[options]") }
        let usage = words.joined(separator: " ")
        return command.run != nil && holdsOthers ? [usage, line + " <command>"] : [usage]
    }
}
