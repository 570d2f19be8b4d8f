import Synchronization
import Testing

@testable import Storage

/// A machine whose clocks a test sets.
private final class Machine: Sendable {
    private struct State {
        var wall: Int64 = 1_800_000_000_000
        var sinceBoot: Int64 = 5_000
        var boot = 1
    }
    private let state = Mutex(State())

    var sources: SteadyClock.Sources {
        SteadyClock.Sources(
            wall: { [self] in state.withLock { $0.wall } }, boot: "boot \(state.withLock { $0.boot })",
            sinceBoot: { [self] in state.withLock { $0.sinceBoot } })
    }

    func pass(_ milliseconds: Int64) {
        state.withLock {
            $0.wall += milliseconds
            $0.sinceBoot += milliseconds
        }
    }

    func setClock(by milliseconds: Int64) { state.withLock { $0.wall += milliseconds } }

    /// Off for a while, and the hardware's clock was wrong by as much.
    func reboot(after milliseconds: Int64, clockOffBy error: Int64 = 0) {
        state.withLock {
            $0.wall += milliseconds + error
            $0.sinceBoot = 1_000
            $0.boot += 1
        }
    }
}

struct SteadyClockTests {
    private static let hour: Int64 = 3_600_000
    private let machine = Machine()
    private let start: Int64 = 1_800_000_000_000

    @Test(arguments: [hour, -hour, 24 * hour, -24 * hour])
    func settingTheClockDoesNotMoveIt(_ jump: Int64) {
        let clock = SteadyClock(after: nil, sources: machine.sources)
        #expect(clock.milliseconds == start)
        machine.pass(1_000)
        machine.setClock(by: jump)
        #expect(clock.milliseconds == start + 1_000)
        // Nor does it over a restart of the process.
        let reading = clock.reading
        machine.pass(500)
        machine.setClock(by: jump)
        let next = SteadyClock(after: reading, sources: machine.sources)
        #expect(next.milliseconds == start + 1_500)
        machine.pass(1)
        #expect(next.milliseconds == start + 1_501)
    }

    @Test func aRebootGoesOnByTheTimeOfDay() {
        let reading = SteadyClock(after: nil, sources: machine.sources).reading
        machine.reboot(after: 7 * Self.hour)
        #expect(SteadyClock(after: reading, sources: machine.sources).milliseconds == start + 7 * Self.hour)
    }

    @Test func aClockThatWasSetBackMeanwhileStandsStill() {
        let reading = SteadyClock(after: nil, sources: machine.sources).reading
        machine.reboot(after: Self.hour, clockOffBy: -48 * Self.hour)
        let clock = SteadyClock(after: reading, sources: machine.sources)
        #expect(clock.milliseconds == start)
        machine.pass(10)
        machine.setClock(by: 48 * Self.hour)
        #expect(clock.milliseconds == start + 10)
    }

    @Test func aBootThatCannotBeNamedCountsAsAnother() {
        let now = Mutex<(wall: Int64, sinceBoot: Int64)>((start, 100))
        let sources = SteadyClock.Sources(
            wall: { now.withLock { $0.wall } }, boot: "", sinceBoot: { now.withLock { $0.sinceBoot } })
        let reading = SteadyClock(after: nil, sources: sources).reading
        now.withLock { $0 = (start + 40, 90_000) }
        #expect(SteadyClock(after: reading, sources: sources).milliseconds == start + 40)
    }

    @Test func theKernelsClocksAreUsed() {
        let first = SteadyClock(after: nil)
        let reading = first.reading
        #expect(!reading.boot.isEmpty)
        let second = SteadyClock(after: reading)
        #expect(second.milliseconds >= reading.milliseconds)
        #expect(first.milliseconds >= reading.milliseconds)
    }
}
