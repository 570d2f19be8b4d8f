import CommandTree
import Glibc

let arguments = Array(CommandLine.arguments.dropFirst())
let variables = LoadProgram.environment()

switch LoadProgram.program.parse(
    arguments, environment: variables,
    terminal: .detected(fileDescriptor: STDOUT_FILENO, environment: variables))
{
case .print(let text): print(text, terminator: "")
case .usageError(let line):
    LoadProgram.complain(line)
    exit(2)
case .run(let command, let invocation):
    do {
        try await command.run?(invocation)
    } catch let error as UsageError {
        LoadProgram.complain(error.line(at: invocation.path))
        exit(2)
    } catch let end as LoadProgram.Failed {
        exit(end.status)
    } catch {
        LoadProgram.complain("kars-load: \(error)")
        exit(1)
    }
}
