import CWebSockets
import Glibc

/// A taken connection and the one to the target; used on the loop's thread alone.
final class ForwardedPair: ReadinessObserver {
    /// One of the two connections.
    private struct End {
        let descriptor: Int32
        let token: UInt64
        /// What the watch was asked for and has not reported yet.
        var armed: Readiness = []
    }

    /// Reads and writes in a row before other sockets get their turn.
    private static let turns = 16

    private let watch: ReadinessWatch
    private let onEnd: () -> Void
    private let accepted: Int32
    private var targets: ArraySlice<SocketAddress>
    private var near: End?
    private var far: End?
    private var isConnecting = true
    private var isOver = false
    /// From the taken connection to the target, and back.
    private var outward = ByteLane()
    private var inward = ByteLane()

    init(watch: ReadinessWatch, accepted: Int32, targets: [SocketAddress], onEnd: @escaping () -> Void) {
        self.watch = watch
        self.accepted = accepted
        self.targets = targets[...]
        self.onEnd = onEnd
    }

    /// Connects to the target; takes `accepted` over.
    func start() {
        _ = fcntl(accepted, F_SETFL, fcntl(accepted, F_GETFL) | O_NONBLOCK)
        near = End(descriptor: accepted, token: watch.add(self))
        connectNext()
    }

    /// Closes both connections without another byte.
    func cut() {
        guard !isOver else { return }
        isOver = true
        close(&near)
        close(&far)
        onEnd()
    }

    func watchDidEnd() { cut() }

    func descriptorIsReady(_ readiness: Readiness, token: UInt64) {
        guard !isOver else { return }
        if token == near?.token { near?.armed = [] } else { far?.armed = [] }
        if isConnecting { return connectionDidDecide() }
        pump()
    }

    private func pump() {
        guard let source = near?.descriptor, let sink = far?.descriptor else { return }
        guard outward.carry(from: source, to: sink, turns: Self.turns),
            inward.carry(from: sink, to: source, turns: Self.turns),
            !(outward.isDone && inward.isDone)
        else { return cut() }
        arm(&near, for: outward.reading.union(inward.writing))
        arm(&far, for: inward.reading.union(outward.writing))
    }

    private func connectNext() {
        while let address = targets.popFirst() {
            let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
            let descriptor = socket(address.family, flags, 0)
            guard descriptor >= 0 else { break }
            let status = address.withPointer { connect(descriptor, $0, $1) }
            guard status == 0 || errno == EINPROGRESS else {
                Glibc.close(descriptor)
                continue
            }
            if address.family != AF_UNIX {
                var on: Int32 = 1
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
            }
            far = End(descriptor: descriptor, token: watch.add(self))
            arm(&far, for: .writable)
            return
        }
        cut()
    }

    private func connectionDidDecide() {
        guard let far else { return }
        var cause: Int32 = 0
        var length = socklen_t(4)
        getsockopt(far.descriptor, SOL_SOCKET, SO_ERROR, &cause, &length)
        guard cause == 0 else {
            close(&self.far)
            return connectNext()
        }
        isConnecting = false
        pump()
    }

    private func arm(_ end: inout End?, for readiness: Readiness) {
        // Nothing is asked of an end nobody can use now: its hang-up would be reported again and again.
        guard let current = end, !readiness.isEmpty, readiness != current.armed else { return }
        end?.armed = readiness
        watch.arm(current.token, descriptor: current.descriptor, for: readiness)
    }

    private func close(_ end: inout End?) {
        guard let current = end.take() else { return }
        watch.remove(current.token)
        Glibc.close(current.descriptor)
    }
}
