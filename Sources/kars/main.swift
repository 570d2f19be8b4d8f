import CommandTree
import Glibc

// A reader that goes away (`kars logs … | head`) must not kill a command between two changes.
signal(SIGPIPE, SIG_IGN)

exit(await CommandRunner(program: KarsProgram.program).run(Array(CommandLine.arguments.dropFirst())))
