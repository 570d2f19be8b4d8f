import CommandTree
import Glibc
import MeshNode

/// Runs a command line and turns how it ended into lines on standard error and an exit code.
struct CommandRunner: Sendable {
    /// The operation failed or was refused.
    static let failed: Int32 = 1
    /// The command line was wrong; nothing was done.
    static let misused: Int32 = 2

    let program: CommandLineProgram

    /// Ends the process with the command's exit code.
    func run(_ arguments: [String]) -> Never {
        let environment = ProcessEnvironment.current()
        let style = TerminalStyle.detected(fileDescriptor: STDOUT_FILENO, environment: environment)
        switch program.parse(arguments, environment: environment, terminal: style) {
        case .print(let text):
            do {
                try Console.write(text)
                exit(0)
            } catch {
                exit(report(error, path: [program.name]))
            }
        case .usageError(let line):
            Console.complain(line)
            exit(Self.misused)
        case .run(let command, let invocation):
            Task.detached { exit(await run(command, invocation)) }
            // The main thread has no further work; it stays, because tools look at a process through it.
            while true { pause() }
        }
    }

    private func run(_ command: Command, _ invocation: Invocation) async -> Int32 {
        guard let action = command.run else { preconditionFailure("a command without work was found") }
        do {
            try await action(invocation)
            return 0
        } catch {
            return report(error, path: invocation.path)
        }
    }

    /// Says what went wrong, in one line and perhaps a hint.
    private func report(_ error: any Error, path: [String]) -> Int32 {
        let command = path.joined(separator: " ")
        switch error {
        case let error as CommandEnd: return error.status
        case let error as UsageError:
            Console.complain(error.line(at: path))
            return Self.misused
        case let error as OperationFailure:
            Console.complain("\(command): \(PrintableText.escaped(error.message))")
            if let hint = error.hint { Console.complain("hint: \(PrintableText.escaped(hint))") }
            return error.code == .invalid ? Self.misused : Self.failed
        default:
            Console.complain("\(command): \(PrintableText.escaped("\(error)"))")
            return Self.failed
        }
    }
}

/// Ends a command that has said already how it went.
struct CommandEnd: Error {
    let status: Int32
}
