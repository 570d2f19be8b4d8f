import Dispatch
import Glibc
import Sandboxes

/// A program beside an agent of this peer, its input and output on a stream.
///
/// What blocks stands on queues of its own; the stream's room is what holds the program back.
struct SandboxShellRun: Sendable {
    let agent: String
    /// Where the sandbox takes commands.
    let socket: String
    let request: ShellRequest

    /// Runs until the program ends, or the stream does: then the program is hung up on.
    func run(on stream: any PeerStream) async throws -> StreamResult {
        let files: ProgramFiles
        let program: SandboxCommand
        do {
            files = try ProgramFiles(terminal: request.terminal.map { ($0.columns, $0.rows) })
            program = try await Self.blocking { [self] in
                defer { files.closeProgramSide() }
                return try SandboxCommand(
                    at: socket, command: request.command, environment: request.environment, files: files.programSide,
                    hasTerminal: files.hasTerminal)
            }
        } catch {
            throw OperationFailure(.failed, "no program can be run beside \(agent): \(error)")
        }
        let connection = program.connection
        defer { close(connection) }
        return try await withThrowingTaskGroup(of: Part.self) { group in
            group.addTask { .program(try await Self.blocking { try program.wait() }) }
            group.addTask {
                try await takeInput(stream, files)
                return .input
            }
            group.addTask {
                try await sendOutputs(stream, files)
                return .outputs
            }
            do {
                var (hasEnded, isShown, status) = (false, false, Int32?.none)
                while !hasEnded || !isShown, let part = try await group.next() {
                    switch part {
                    case .program(let its):
                        (hasEnded, status) = (true, its)
                        files.endSoon()
                    case .outputs: isShown = true
                    case .input: break
                    }
                }
                group.cancelAll()
                guard let status else {
                    throw OperationFailure(.failed, "the sandbox of \(agent) ended, and the program with it")
                }
                return StreamResult(status: status)
            } catch {
                // What waits for the program, reads or writes ends by this, and the program is hung up on.
                files.end()
                shutdown(connection, Int32(SHUT_RDWR))
                throw error
            }
        }
    }

    private enum Part: Sendable {
        /// Its status; nil when the sandbox ended with it.
        case program(Int32?)
        case input, outputs
    }

    private func takeInput(_ stream: any PeerStream, _ files: ProgramFiles) async throws {
        while let item = try await stream.next() {
            switch item.channel {
            case .input: _ = try await Self.blocking { files.write(item.bytes) }
            case .endOfInput: files.closeInput()
            case .control:
                guard let size = PeerJSON.decode(TerminalSize.self, from: item.bytes) else {
                    throw OperationFailure(.invalid, "what came is not the size of a terminal")
                }
                files.resize(columns: size.columns, rows: size.rows)
            case .output, .errors, .end: throw OperationFailure(.invalid, "only input goes to a program")
            }
        }
    }

    private func sendOutputs(_ stream: any PeerStream, _ files: ProgramFiles) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (file, channel) in zip(files.outputs, [StreamItem.Channel.output, .errors]) {
                group.addTask {
                    while let bytes = try await Self.blocking({ files.read(file) }) {
                        try await stream.send(StreamItem(channel, bytes))
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Runs what blocks on a queue of its own: those of the system make threads slowly while others wait.
    private static func blocking<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "kars.shell").async { continuation.resume(with: Result { try body() }) }
        }
    }
}
