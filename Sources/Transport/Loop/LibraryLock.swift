import Synchronization

/// Guards the library's process-wide state, which creating and destroying a context changes.
enum LibraryLock {
    static let shared = Mutex<Void>(())
}
