import Synchronization
import Transport

/// A command running in a container. It ends with the connection: keep it until ``next()`` returned nil or call
/// ``close()``.
public final class PodExec: Sendable {
    /// Bytes of output held for a slow reader before the server is held back.
    private static let highWater = 512 << 10
    /// Bytes of input that may wait before a writer does.
    private static let inputHighWater = 256 << 10

    /// How often an idle connection shows that it is alive: load balancers cut one after some four minutes.
    private static let pingPause = Duration.seconds(30)

    private struct State {
        var socket: WebSocket?
        var ping: ScheduledTask?
        var output: [ExecOutput] = []
        var bytes = 0
        var isHeldBack = false
        var end: Result<Int, KubernetesError>?
        var reader: CheckedContinuation<Void, Never>?
        var writers: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    private let server: String
    private let action: String

    init(server: String, action: String) {
        self.server = server
        self.action = action
    }

    /// The next piece of output; nil once the command ended. One reader at a time.
    ///
    /// - Throws: when the connection breaks or the command could not be started.
    public func next() async throws(KubernetesError) -> ExecOutput? {
        while true {
            let (output, end, resumed) = state.withLock { state -> (ExecOutput?, Result<Int, KubernetesError>?, WebSocket?) in
                guard !state.output.isEmpty else { return (nil, state.end, nil) }
                let output = state.output.removeFirst()
                state.bytes -= output.count
                let resumes = state.isHeldBack && state.bytes <= Self.highWater / 2
                if resumes { state.isHeldBack = false }
                return (output, nil, resumes ? state.socket : nil)
            }
            resumed?.resumeReading()
            if let output { return output }
            if let end {
                _ = try end.get()
                return nil
            }
            await untilSomethingHappens()
        }
    }

    /// The exit status; output not yet read is dropped.
    public func wait() async throws(KubernetesError) -> Int {
        while try await next() != nil {}
        guard let end = state.withLock({ $0.end }) else { throw .cancelled }
        return try end.get()
    }

    /// Sends input; suspends while much of it waits to be carried away. The protocol has no way to say that input ends.
    ///
    /// - Throws: when the command has ended.
    public func write(_ bytes: [UInt8]) async throws(KubernetesError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let socket = state.withLock({ $0.end == nil ? $0.socket : nil }) else {
                throw .interrupted(server: server, what: action, cause: "the command has ended")
            }
            socket.send(ExecFrame.encode(.stdin, rest.prefix(ExecFrame.pieceBytes)), isText: false)
            rest = rest.dropFirst(ExecFrame.pieceBytes)
            if socket.queuedBytes > Self.inputHighWater { await untilDrained(socket) }
        }
    }

    /// Tells the size of the caller's terminal.
    public func resize(columns: Int, rows: Int) {
        let size: JSONValue = ["Width": .int(Int64(columns)), "Height": .int(Int64(rows))]
        state.withLock { $0.socket }?.send(ExecFrame.encode(.resize, size.encode()), isText: false)
    }

    /// Ends the connection; the container's runtime decides what becomes of the command.
    public func close() {
        finish(.failure(.cancelled))
        state.withLock { $0.socket }?.close(code: 1000)
    }

    private func untilSomethingHappens() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if !state.output.isEmpty || state.end != nil { return true }
                    precondition(state.reader == nil, "a command's output has one reader")
                    state.reader = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            close()
        }
    }

    private func untilDrained(_ socket: WebSocket) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.end != nil || socket.queuedBytes == 0 { return true }
                    state.writers.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
                // It may have drained between the two looks.
                if !isOver && socket.queuedBytes == 0 { wakeWriters() }
            }
        } onCancel: {
            close()
        }
    }

    private func wakeWriters() {
        for writer in state.withLock({ state in defer { state.writers = [] }; return state.writers }) { writer.resume() }
    }

    /// The first end counts.
    private func finish(_ end: Result<Int, KubernetesError>) {
        let reader = state.withLock { state in
            if state.end == nil { state.end = end }
            return state.reader.take()
        }
        reader?.resume()
        wakeWriters()
    }
}

extension PodExec: WebSocketDelegate {
    public func webSocketDidOpen(_ socket: WebSocket) {
        let isOver = state.withLock { state in
            state.socket = socket
            return state.end != nil
        }
        if isOver { socket.close(code: 1000) } else { schedulePing(socket) }
    }

    public func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        guard let first = message.first, let channel = ExecFrame.Channel(rawValue: first) else { return }
        let bytes = Array(message.dropFirst())
        switch channel {
        case .stdout: append(.stdout(bytes), socket)
        case .stderr: append(.stderr(bytes), socket)
        case .status: statusDidArrive(bytes, socket)
        case .stdin, .resize: break
        }
    }

    public func webSocketDidDrain(_ socket: WebSocket) { wakeWriters() }

    public func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
        finish(.failure(.interrupted(server: server, what: action, cause: "the connection ended before the command")))
        // It holds the connection, which holds this.
        let ping = state.withLock { state in
            state.socket = nil
            return state.ping.take()
        }
        ping?.cancel()
    }

    private func schedulePing(_ socket: WebSocket) {
        let ping = socket.loop.schedule(after: Self.pingPause) { [weak self] in
            guard let self, self.state.withLock({ $0.socket != nil }) else { return }
            socket.ping()
            self.schedulePing(socket)
        }
        state.withLock { $0.ping = ping }
    }

    private func append(_ output: ExecOutput, _ socket: WebSocket) {
        // At the start the server sends an empty frame for each channel.
        guard output.count > 0 else { return }
        let (reader, holdsBack) = state.withLock { state in
            guard state.end == nil else { return (state.reader.take(), false) }
            state.output.append(output)
            state.bytes += output.count
            let holdsBack = !state.isHeldBack && state.bytes > Self.highWater
            if holdsBack { state.isHeldBack = true }
            return (state.reader.take(), holdsBack)
        }
        if holdsBack { socket.pauseReading() }
        reader?.resume()
    }

    private func statusDidArrive(_ bytes: [UInt8], _ socket: WebSocket) {
        guard !bytes.isEmpty else { return }
        switch ExecFrame.end(bytes) {
        case .exited(let status): finish(.success(status))
        case .failed(let status):
            let code = status["code"]?.intValue.flatMap { Int(exactly: $0) } ?? 500
            finish(.failure(KubernetesRefusal(server: server, action: action, code: code, status: status).error))
        case .malformed: finish(.failure(.unusableAnswer(server: server, what: action)))
        }
        socket.close(code: 1000)
    }
}

extension ExecOutput {
    fileprivate var count: Int {
        switch self {
        case .stdout(let bytes), .stderr(let bytes): bytes.count
        }
    }
}
