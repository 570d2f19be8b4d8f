import Dispatch
import Glibc
import Synchronization

/// SIGHUP, which would end a process, as a wish to read files anew.
final class ReloadSignals: Sendable {
    /// One element for all SIGHUPs that came since the one before was taken.
    let all: AsyncStream<Void>
    private let source: Mutex<any DispatchSourceSignal>

    /// Takes the signal over from now on.
    init() {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        all = stream
        source = Mutex(DispatchSource.makeSignalSource(signal: SIGHUP, queue: DispatchQueue(label: "kars.reload")))
        source.withLock {
            $0.setEventHandler { continuation.yield() }
            $0.activate()
        }
    }
}
