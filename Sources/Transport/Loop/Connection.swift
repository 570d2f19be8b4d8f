import CWebSockets

/// Something libwebsockets calls back about one socket.
// @unchecked Sendable: its members are touched by its loop's thread alone; others only carry the reference.
class Connection: @unchecked Sendable {
    unowned let loop: EventLoop
    /// nil before the library knows the socket and after it freed it.
    private(set) final var socket: OpaquePointer?
    /// While set, the library's last word means only that one attempt to open failed.
    final var isOpening = false
    /// The library freed the socket of the attempt under way, although it may still hand out its address.
    final var wasFreedWhileOpening = false
    private final var deadline: ContinuousClock.Instant?
    private final var hasEnded = false
    private final var alarm: (task: ScheduledTask, moment: ContinuousClock.Instant)?

    init(loop: EventLoop) { self.loop = loop }

    /// Takes one callback; non-zero closes the socket.
    func handle(
        _ reason: lws_callback_reasons, _ socket: OpaquePointer, _ bytes: UnsafeMutableRawPointer?,
        _ count: Int
    ) -> Int32 { 0 }

    /// The library freed the socket: the last word, said once.
    func didEnd() {}

    /// What ``setDeadline(after:)`` announced came; by default the socket is cut.
    func deadlineDidPass() { kill() }

    final func attach(_ socket: OpaquePointer) { self.socket = socket }

    /// The library is done with the socket, but the connection tries another.
    final func detach() { socket = nil }

    final func forgetSocket() {
        guard !hasEnded else { return }
        hasEnded = true
        socket = nil
        deadline = nil
        alarm?.task.cancel()
        didEnd()
    }

    /// Cuts the socket without a word, after the current callback.
    final func kill() {
        if let socket { lws_set_timeout(socket, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC) }
    }

    final func requestWritable() {
        if let socket { lws_callback_on_writable(socket) }
    }

    /// Replaces the moment of ``deadlineDidPass()``; nil for none.
    ///
    /// One timer per connection stays armed and looks at the latest deadline, so that moving it later is
    /// free.
    final func setDeadline(after delay: Duration?) {
        guard let delay else {
            deadline = nil
            return
        }
        let moment = ContinuousClock.now + delay
        deadline = moment
        if let alarm, alarm.moment > moment {
            alarm.task.cancel()
            self.alarm = nil
        }
        if alarm == nil { armAlarm(at: moment, after: delay) }
    }

    private final func armAlarm(at moment: ContinuousClock.Instant, after delay: Duration) {
        alarm = (loop.schedule(after: delay) { [weak self] in self?.alarmDidRing() }, moment)
    }

    private final func alarmDidRing() {
        alarm = nil
        guard let deadline, !hasEnded else { return }
        let left = deadline - ContinuousClock.now
        if left > .zero {
            armAlarm(at: deadline, after: left)
        } else {
            self.deadline = nil
            deadlineDidPass()
        }
    }
}
