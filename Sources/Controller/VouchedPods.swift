import Synchronization

/// What was last said to the nodes of pods about the peers that brought their agents; a controller that starts anew has
/// said nothing.
final class VouchedPods: Sendable {
    private let words = Mutex<[String: String]>([:])

    /// By the sandbox's name; nil when it was told nothing, or that there is no trust any more.
    subscript(sandbox: String) -> String? {
        get { words.withLock { $0[sandbox] } }
        set { words.withLock { $0[sandbox] = newValue } }
    }
}
