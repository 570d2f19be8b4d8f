import Glibc
import Sandboxes

let arguments = Array(CommandLine.arguments.dropFirst())

// The first process of a sandbox must run before anything here starts a thread, so it is no command of the tree.
if arguments.first == "sandbox-init" {
    SandboxInit.run(arguments: Array(arguments.dropFirst()))
}

// A reader that goes away (`kars logs … | head`) must not kill a command between two changes.
signal(SIGPIPE, SIG_IGN)

CommandRunner(program: KarsProgram.program).run(arguments)
