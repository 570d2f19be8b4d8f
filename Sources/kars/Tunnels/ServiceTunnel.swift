import CommandTree
import Dispatch
import Glibc
import MeshNode
import Sandboxes
import Synchronization

/// A port of this machine's loopback that leads to a Service of a cluster, by `kubectl port-forward`.
///
/// kubectl holds on to one pod. So the tunnel looks every few seconds whether somebody answers at its end, and has kubectl
/// find the pod that is there now when nobody does.
final class ServiceTunnel: Sendable {
    /// Where it leads.
    struct Target: Sendable {
        let namespace: String
        let service: String
        let port: Int
        /// Of the kubeconfig; nil for the present one.
        let context: String?
    }

    /// How long kubectl may take until it listens.
    private static let patience = Duration.seconds(15)
    private static let checkInterval = Duration.seconds(3)
    private static let shortestPause = Duration.milliseconds(250), longestPause = Duration.seconds(8)
    private static let readyPrefix = "Forwarding from 127.0.0.1:"
    private static let longestLine = 4_096

    private struct State {
        var isEnding = false
        var kubectl: pid_t?
        var port: Int?
    }

    private let target: Target
    private let wantedPort: Int
    private let program: String
    private let environment: [String: String]
    private let onStart: @Sendable (pid_t) -> Void
    private let state = Mutex(State())
    private let ended = DispatchGroup()

    /// - Parameters:
    ///   - port: of the loopback; 0 lets the kernel pick.
    ///   - onStart: is told of every kubectl that is started.
    init(
        to target: Target, port: Int, environment: [String: String], onStart: @escaping @Sendable (pid_t) -> Void = { _ in }
    ) throws {
        self.target = target
        wantedPort = port
        program = try Kubectl.path(environment)
        self.environment = environment
        self.onStart = onStart
    }

    /// Returns the port once it leads somewhere; keeps it so until ``close()``.
    ///
    /// - Throws: what kubectl said when it cannot be done.
    func open() async throws -> Int {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "kars.tunnel").async(group: ended) {
                do {
                    let (kubectl, port) = try self.start()
                    continuation.resume(returning: port)
                    self.keep(kubectl)
                } catch { continuation.resume(throwing: error) }
            }
        }
    }

    /// Ends kubectl, and returns when it is gone.
    func close() async {
        state.withLock { state in
            state.isEnding = true
            if let pid = state.kubectl { kill(pid, SIGTERM) }
        }
        await withCheckedContinuation { continuation in
            ended.notify(queue: .global()) { continuation.resume() }
        }
    }

    // MARK: One kubectl

    private struct Run {
        let pid: pid_t
        let output: Int32
    }

    private func start() throws -> (Run, port: Int) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw OperationFailure(.failed, "cannot make a pipe: \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let wanted = state.withLock { $0.port } ?? wantedPort
        var arguments = [program, "port-forward", "--address", "127.0.0.1", "--namespace", target.namespace]
        if let context = target.context { arguments += ["--context", context] }
        arguments += ["service/\(target.service)", "\(wanted == 0 ? "" : String(wanted)):\(target.port)"]
        let run: Run
        do {
            let nothing = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
            // Held here it would hide that kubectl ended.
            defer { for descriptor in [nothing, ends[1]] { Glibc.close(descriptor) } }
            let isEnding = state.withLock { $0.isEnding }
            guard !isEnding else { throw OperationFailure(.failed, "the tunnel was closed") }
            let pid = try Spawn.start(arguments, environment: environment, descriptors: [nothing, ends[1], ends[1]])
            run = Run(pid: pid, output: ends[0])
        } catch {
            Glibc.close(ends[0])
            throw error
        }
        let mustEnd = state.withLock { state in
            state.kubectl = run.pid
            return state.isEnding
        }
        if mustEnd { kill(run.pid, SIGTERM) }
        onStart(run.pid)
        do {
            let port = try awaitReady(run)
            state.withLock { $0.port = port }
            return (run, port)
        } catch {
            end(run)
            throw error
        }
    }

    /// Waits for the line that names the port.
    private func awaitReady(_ run: Run) throws -> Int {
        let deadline = ContinuousClock.now + Self.patience
        var line: [UInt8] = []
        var last = "it says nothing"
        while ContinuousClock.now < deadline {
            var place = pollfd(fd: run.output, events: Int16(POLLIN), revents: 0)
            guard poll(&place, 1, 200) > 0 else { continue }
            var byte: UInt8 = 0
            let count = read(run.output, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { break }
            guard byte == UInt8(ascii: "\n") || line.count == Self.longestLine else {
                line.append(byte)
                continue
            }
            let text = String(decoding: line, as: UTF8.self)
            if text.hasPrefix(Self.readyPrefix),
                let port = Int(text.dropFirst(Self.readyPrefix.count).prefix { $0.isNumber })
            {
                return port
            }
            if !text.isEmpty { last = text }
            line = []
        }
        let reason = last.hasPrefix("error: ") ? String(last.dropFirst("error: ".count)) : last
        throw OperationFailure(
            .unavailable, "no tunnel to \(target.namespace)/\(target.service): kubectl: \(PrintableText.escaped(reason))")
    }

    private func end(_ run: Run) {
        kill(run.pid, SIGTERM)
        let deadline = ContinuousClock.now + .seconds(5)
        var status: Int32 = 0
        while waitpid(run.pid, &status, WNOHANG) == 0 {
            if ContinuousClock.now > deadline { kill(run.pid, SIGKILL) }
            usleep(5_000)
        }
        // Nobody may signal a number that is free again.
        state.withLock { $0.kubectl = nil }
        Glibc.close(run.output)
    }

    // MARK: Keeping it

    private func keep(_ first: Run) {
        var run = first
        while true {
            watch(run)
            end(run)
            var pause = Self.shortestPause
            while true {
                if state.withLock({ $0.isEnding }) { return }
                do {
                    run = try start().0
                    break
                } catch {
                    Console.complain("\(error)")
                    wait(pause)
                    pause = min(Self.longestPause, pause * 2)
                }
            }
        }
    }

    /// A pause that ends with the tunnel.
    private func wait(_ pause: Duration) {
        let deadline = ContinuousClock.now + pause
        while ContinuousClock.now < deadline, !state.withLock({ $0.isEnding }) { usleep(20_000) }
    }

    /// Returns when kubectl ended, or when two looks in a row found nobody at the other end.
    private func watch(_ run: Run) {
        var failures = 0
        var next = ContinuousClock.now + Self.checkInterval
        var chunk = [UInt8](repeating: 0, count: 4_096)
        while !state.withLock({ $0.isEnding }) {
            var place = pollfd(fd: run.output, events: Int16(POLLIN), revents: 0)
            if poll(&place, 1, 200) > 0 {
                let count = read(run.output, &chunk, chunk.count)
                // A line for every connection, which nobody needs.
                if count == 0 || (count < 0 && errno != EINTR) { return }
            }
            guard ContinuousClock.now >= next else { continue }
            let port = state.withLock { $0.port } ?? 0
            failures = LoopbackHealth.answers(port: port) ? 0 : failures + 1
            if failures == 2 { return }
            next = ContinuousClock.now + (failures == 0 ? Self.checkInterval : .milliseconds(500))
        }
    }
}
