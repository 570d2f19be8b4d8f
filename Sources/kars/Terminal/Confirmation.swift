import CommandTree

/// Asks before something is lost.
enum Confirmation {
    static let option = Option.flag("yes", short: "y", help: "Do not ask")

    /// Returns when somebody can be asked or need not be; for a command that must look first at what it would ask.
    static func requirePossible(_ invocation: Invocation) throws(UsageError) {
        guard invocation.flag("yes") || Console.isInteractive else {
            throw .refused("there is no terminal to ask whether that is wanted; give --yes to do it")
        }
    }

    /// Returns when `--yes` was given or a person agreed.
    ///
    /// - Parameter question: without the question mark.
    /// - Throws: a usage error without a terminal; ``CommandEnd`` when the answer is no.
    static func require(_ question: String, _ invocation: Invocation) throws {
        if invocation.flag("yes") { return }
        guard Console.isInteractive else {
            throw UsageError.refused("there is no terminal to ask '\(question)?'; give --yes to do it")
        }
        Console.prompt("\(question)? [y/N] ")
        let answer = readLine()?.lowercased() ?? ""
        guard answer == "y" || answer == "yes" else {
            Console.complain("Nothing was done.")
            throw CommandEnd(status: CommandRunner.failed)
        }
    }
}
