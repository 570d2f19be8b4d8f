import Foundation
import Storage
import Synchronization

/// The clocks of a machine, which a test moves; they go on by themselves like the real ones.
final class TestMachine: Sendable {
    private struct State {
        var passed: Duration = .zero
        var clockOffBy: Duration = .zero
        var boot = 1
    }

    private let state = Mutex(State())
    private let began = ContinuousClock.now
    private let wall = Date()

    /// Time goes by, for every clock.
    func pass(_ time: Duration) { state.withLock { $0.passed += time } }

    /// Somebody sets the time of day.
    func setClock(by jump: Duration) { state.withLock { $0.clockOffBy += jump } }

    /// What counts since boot says nothing about the time before.
    func reboot() { state.withLock { $0.boot += 1 } }

    var now: Date {
        let (passed, jump) = state.withLock { ($0.passed, $0.clockOffBy) }
        return wall + (ContinuousClock.now - began + passed + jump) / .seconds(1)
    }

    var clocks: SteadyClock.Sources {
        SteadyClock.Sources(
            wall: { [self] in Int64(now.timeIntervalSince1970 * 1000) }, boot: "\(state.withLock { $0.boot })",
            sinceBoot: { [self] in
                Int64((ContinuousClock.now - began + state.withLock { $0.passed }) / .milliseconds(1))
            })
    }
}
