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

    /// - Returns: the process's exit code.
    func run(_ arguments: [String]) async -> Int32 {
        let environment = ProcessEnvironment.current()
        let style = TerminalStyle.detected(fileDescriptor: STDOUT_FILENO, environment: environment)
        switch program.parse(arguments, environment: environment, terminal: style) {
        case .print(let text):
            do {
                try Console.write(text)
                return 0
            } catch {
                return report(error, path: [program.name])
            }
        case .usageError(let line):
            Console.complain(line)
            return Self.misused
        case .run(let command, let invocation):
            guard let action = command.run else { preconditionFailure("a command without work was found") }
            do {
                try await action(invocation)
                return 0
            } catch {
                return report(error, path: invocation.path)
            }
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
            Console.complain("\(command): \(error.message)")
            if let hint = error.hint { Console.complain("hint: \(hint)") }
            return error.code == .invalid ? Self.misused : Self.failed
        default:
            Console.complain("\(command): \(error)")
            return Self.failed
        }
    }
}

/// Ends a command that has said already how it went.
struct CommandEnd: Error {
    let status: Int32
}
