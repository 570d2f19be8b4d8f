import Dispatch
import Glibc
import Synchronization

/// Whether SIGTERM or SIGINT asked to end the load early; the report then covers what was sent.
final class StopRequest: Sendable {
    private let asked = Atomic<Bool>(false)
    private let sources = Mutex<[any DispatchSourceSignal]>([])

    init() {
        sources.withLock { sources in
            for number in [SIGTERM, SIGINT] {
                signal(number, SIG_IGN)  // the source hears it all the same
                let source = DispatchSource.makeSignalSource(signal: number)
                source.setEventHandler { [weak self] in self?.asked.store(true, ordering: .relaxed) }
                source.activate()
                sources.append(source)
            }
        }
    }

    var isAsked: Bool { asked.load(ordering: .relaxed) }
}
