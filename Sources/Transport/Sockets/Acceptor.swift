import Dispatch
import Glibc
import Synchronization

/// Owns a ``Listener`` from any thread.
final class Acceptor: Sendable {
    /// With the port the kernel picked.
    let endpoint: Endpoint
    private let loop: EventLoop
    private let listener: Listener
    private let end: OneShot

    init(
        loop: EventLoop, endpoint: Endpoint, onAccept: @escaping @Sendable (Int32, String) -> Void
    ) async throws(TransportError) {
        let listening = try await BlockingWork.run { () throws(TransportError) in
            try ListeningSocket.open(endpoint)
        }
        let end = OneShot()
        let listener = Listener(listening, loop: loop, onAccept: onAccept) { end.fire() }
        self.loop = loop
        self.end = end
        self.listener = listener
        self.endpoint = listening.endpoint
        let hasStarted: Bool
        do throws(TransportError) {
            hasStarted = try await loop.perform { () throws(TransportError) in listener.start() }
        } catch {
            Glibc.close(listening.descriptor)
            throw error
        }
        guard hasStarted else { throw .cannotListen("\(endpoint)", "the event loop takes no descriptor") }
    }

    /// Stops listening; returns once the place is free.
    func close() async {
        guard loop.tryExecute({ [listener] in listener.kill() }) else { return }
        await end.wait()
    }
}
