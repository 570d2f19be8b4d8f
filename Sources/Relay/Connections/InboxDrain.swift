import Transport

/// How far a connection is with its inbox. Used on the connection's loop.
struct InboxDrain {
    var window: DrainWindow
    var isReading = false
    /// Whether to start over once the read under way has ended.
    var mustRestart = false
    /// Opens the window again when no ack comes.
    var patience: ScheduledTask?

    /// An ack shows that the client goes on: its patience starts anew when the window is full again.
    mutating func acknowledge(id: String) {
        window.acknowledge(id: id)
        patience?.cancel()
        patience = nil
    }
}
