import CommandTree
import Dispatch
import FoundationEssentials
import Glibc
import MeshNode
import Sandboxes

/// A shell in the sandbox of an agent that lives at another peer, on a stream of this machine's node.
///
/// On a terminal the shell gets one too, made where it runs, of the size of this one. Else it reads what comes on standard
/// input, and its output and errors stay apart.
struct StreamedShell: Sendable {
    let agent: String
    let node: NodeClient

    /// Runs until the shell ends.
    ///
    /// - Returns: its exit status.
    func run(environment: [String: String]) async throws -> Int32 {
        let isTerminal = Console.isInteractive && isatty(STDOUT_FILENO) == 1
        let request = ShellRequest(
            command: isTerminal ? TerminalShell.command : TerminalShell.plainCommand,
            environment: TerminalShell.variables(environment, isTerminal: isTerminal),
            terminal: isTerminal ? Self.size() : nil)
        let stream = try await node.open(StreamShell(sandboxName: agent, request: request))
        let terminal = isTerminal ? try RawTerminal() : nil
        defer { terminal?.restore() }
        let resizes = isTerminal ? Self.resizes() : nil
        defer {
            resizes?.source.cancel()
            stream.cancel(OperationFailure(.unavailable, "the command ended"))
        }
        let senders = [
            Task {
                for await bytes in InputReader() { try? await stream.send(StreamItem(.input, bytes)) }
                try? await stream.send(StreamItem(.endOfInput, [0]))
            },
            Task { [sizes = resizes?.sizes] in
                guard let sizes else { return }
                for await size in sizes { try? await stream.send(StreamItem(.control, PeerJSON.encode(size))) }
            },
        ]
        defer { for sender in senders { sender.cancel() } }
        while let item = try await stream.next() {
            switch item.channel {
            case .output: try Self.write(item.bytes, to: STDOUT_FILENO)
            case .errors: try Self.write(item.bytes, to: STDERR_FILENO)
            default: continue
            }
        }
        if let failure = stream.result?.failure { throw failure }
        return stream.result?.status ?? 0
    }

    // MARK: Input

    /// What is typed, a read at a time: the next one waits until the last was sent, so that a shell that reads nothing
    /// holds back whoever writes. On a queue of its own, where waiting for it stops nothing else.
    private struct InputReader: AsyncSequence, AsyncIteratorProtocol, Sendable {
        private let queue = DispatchQueue(label: "kars.shell.input")

        func makeAsyncIterator() -> InputReader { self }

        func next() async -> [UInt8]? {
            await withCheckedContinuation { continuation in
                queue.async {
                    var bytes = [UInt8](repeating: 0, count: 32 << 10)
                    var count = 0
                    repeat { count = read(STDIN_FILENO, &bytes, bytes.count) } while count < 0 && errno == EINTR
                    continuation.resume(returning: count > 0 ? Array(bytes.prefix(count)) : nil)
                }
            }
        }
    }

    private static func size() -> TerminalSize {
        var size = winsize()
        guard ioctl(STDIN_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return TerminalSize(columns: 80, rows: 24)
        }
        return TerminalSize(columns: size.ws_col, rows: size.ws_row)
    }

    /// The sizes that the terminal gets from now on; of several that wait the last one counts.
    private static func resizes() -> (sizes: AsyncStream<TerminalSize>, source: any DispatchSourceSignal) {
        let (sizes, feed) = AsyncStream.makeStream(of: TerminalSize.self, bufferingPolicy: .bufferingNewest(1))
        let source = DispatchSource.makeSignalSource(signal: SIGWINCH, queue: .global())
        source.setEventHandler { feed.yield(Self.size()) }
        source.setCancelHandler { feed.finish() }
        source.resume()
        return (sizes, source)
    }

    // MARK: Output

    private static func write(_ bytes: [UInt8], to file: Int32) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw OperationFailure(.failed, "the shell's output cannot be written") }
            rest = rest.dropFirst(count)
        }
    }
}
