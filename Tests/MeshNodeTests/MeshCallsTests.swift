import Foundation
import MeshIdentity
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

@Suite(.timeLimit(.minutes(1))) struct MeshCallsTests {
    /// Says what it was told after a while that the test ends.
    private struct Slow: PeerOperation {
        static let name = "test.slow"
        static let access = OperationAccess.paired
        static let patience = 20
        var text: String
        typealias Answer = String
    }

    private struct Impatient: PeerOperation {
        static let name = "test.impatient"
        static let access = OperationAccess.paired
        static let patience = 1
        typealias Answer = String
    }

    /// Holds operations until the test lets them go.
    private final class Held: Sendable {
        private let state = Mutex((count: 0, waiting: [CheckedContinuation<Void, Never>](), isOpen: false))
        var count: Int { state.withLock { $0.count } }

        func wait() async {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    state.count += 1
                    if !state.isOpen { state.waiting.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
        }

        func open() {
            let waiting = state.withLock { state in
                state.isOpen = true
                defer { state.waiting = [] }
                return state.waiting
            }
            for continuation in waiting { continuation.resume() }
        }
    }

    private var quick: CallLimits {
        var limits = CallLimits()
        limits.resendAfter = .milliseconds(30)
        limits.retryAfter = .milliseconds(10)
        return limits
    }

    private func requests(at peer: TestPeer) -> [[UInt8]] {
        peer.messages.filter { $0.contains(MeshRequest<Done>.type) }.map { Array($0.utf8) }
    }

    private func id(of request: [UInt8]) -> String { PeerJSON.decode(MessageHeader.self, from: request)!.id! }

    @Test func aCallBringsTheAnswerAndTheFailure() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            b.table.register(Echo.self) { request, caller in
                if request.text.isEmpty { throw OperationFailure(.notFound, "nothing", hint: "say something") }
                return "\(request.text) \(caller)"
            }
            #expect(try await a.calls.call(Echo(text: "hi"), of: b.name) == "hi \(a.identity.did)")
            let failure = await #expect(throws: OperationFailure.self) {
                try await a.calls.call(Echo(text: ""), of: b.name)
            }
            #expect(failure == OperationFailure(.notFound, "nothing", hint: "say something"))
        }
    }

    @Test func callsThatCrossOnFreshSessionsAllSucceed() async throws {
        try await MeshWorld.run { world in
            let peers = [try await world.peer(), try await world.peer(), try await world.peer()]
            for peer in peers { peer.table.register(Echo.self) { request, _ in request.text } }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in peers {
                    for called in peers where called !== caller {
                        for number in 0..<5 {
                            group.addTask {
                                let answer = try await caller.calls.call(
                                    Echo(text: "\(number)"), of: called.name)
                                #expect(answer == "\(number)")
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func aSlowOperationRunsOnceAndCostsNoSession() async throws {
        try await MeshWorld.run { world in
            var limits = quick
            limits.resendAfter = .milliseconds(100)
            let a = try await world.peer(callLimits: limits)
            let b = try await world.peer()
            let held = Held()
            b.table.register(Slow.self) { request, _ in
                await held.wait()
                return request.text
            }
            async let answer = a.calls.call(Slow(text: "done"), of: b.name)
            try await waitUntil("repeats of the request") { requests(at: b).count > 12 }
            held.open()
            #expect(try await answer == "done")
            #expect(held.count == 1)
            // A machine that is busy at the start may cost one; unheard, every other repeat would.
            #expect(b.knockCount <= 2)
        }
    }

    @Test func aRepeatedRequestGetsTheSameAnswer() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            let runs = Mutex(0)
            b.table.register(Echo.self) { request, _ in
                runs.withLock { $0 += 1 }
                return request.text
            }
            _ = try await a.calls.call(Echo(text: "once"), of: b.name)
            let request = requests(at: b)[0]
            for _ in 0..<3 { b.calls.handle(request, from: a.name) }
            try await waitUntil("answers to the repeats") { a.messages.count == 4 }
            #expect(Set(a.messages).count == 1)
            #expect(runs.withLock { $0 } == 1)
            // The id is the peer's own: another peer's request of that id is another one.
            let c = try await world.peer()
            b.calls.handle(request, from: c.name)
            try await waitUntil("the other's request runs") { runs.withLock { $0 } == 2 }
        }
    }

    @Test func onlySoManyAnswersAreRemembered() async throws {
        try await MeshWorld.run { world in
            var limits = CallLimits()
            limits.maximumServed = 3
            let a = try await world.peer()
            let b = try await world.peer(callLimits: limits)
            let runs = Mutex(0)
            b.table.register(Echo.self) { request, _ in
                runs.withLock { $0 += 1 }
                return request.text
            }
            for number in 0..<4 { _ = try await a.calls.call(Echo(text: "\(number)"), of: b.name) }
            b.calls.handle(requests(at: b)[3], from: a.name)
            try await waitUntil("a remembered answer") { a.messages.count == 5 }
            #expect(runs.withLock { $0 } == 4)
            b.calls.handle(requests(at: b)[0], from: a.name)
            try await waitUntil("the forgotten one runs again") { runs.withLock { $0 } == 5 }
        }
    }

    @Test func anAnswerOfAnotherPeerIsIgnored() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            let held = Held()
            b.table.register(Slow.self) { request, _ in
                await held.wait()
                return request.text
            }
            async let answer = a.calls.call(Slow(text: "true"), of: b.name)
            try await waitUntil("the request") { held.count == 1 }
            let forged = MeshResponse.tagging(
                PeerJSON.encode(OperationResponse(id: id(of: requests(at: b)[0]), ok: "false")))
            a.calls.handle(forged, from: PeerIdentity(key: Identity.generate().publicKey))
            held.open()
            #expect(try await answer == "true")
        }
    }

    @Test func aCallWithoutAnswerTimesOut() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            let held = Held()
            b.table.register(Impatient.self) { _, _ in
                await held.wait()
                return ""
            }
            let failure = await #expect(throws: OperationFailure.self) {
                try await a.calls.call(Impatient(), of: b.name)
            }
            #expect(failure?.code == .timedOut)
            held.open()
        }
    }

    @Test func aTimeoutSaysWhyTheRequestDidNotLeave() async throws {
        try await MeshWorld.run { world in
            let a = try await world.peer(callLimits: quick)
            let nobody = PeerIdentity(key: Identity.generate().publicKey)
            let failure = await #expect(throws: OperationFailure.self) {
                try await a.calls.call(Impatient(), of: nobody)
            }
            #expect(failure?.code == .unavailable)
            #expect(failure?.message.contains("prekeys") == true)
        }
    }

    @Test func aCancelledCallEnds() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            let held = Held()
            b.table.register(Slow.self) { request, _ in
                await held.wait()
                return request.text
            }
            let call = Task { try await a.calls.call(Slow(text: ""), of: b.name) }
            try await waitUntil("the request") { held.count == 1 }
            call.cancel()
            await #expect(throws: CancellationError.self) { try await call.value }
            let early = Task {
                try? await Task.sleep(for: .seconds(60))
                return try await a.calls.call(Slow(text: ""), of: b.name)
            }
            early.cancel()
            await #expect(throws: CancellationError.self) { try await early.value }
            held.open()
        }
    }

    @Test func aRequestThatCannotLeaveFailsAtOnce() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            for _ in 0..<30 {
                let failure = await #expect(throws: OperationFailure.self) {
                    try await a.calls.call(Echo(text: String(repeating: "x", count: 1 << 20)), of: b.name)
                }
                #expect(failure?.code == .invalid)
            }
        }
    }

    @Test func anAnswerNoFrameCanCarryIsToldAsAFailure() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            b.table.register(Echo.self) { _, _ in String(repeating: "x", count: 1 << 20) }
            let failure = await #expect(throws: OperationFailure.self) {
                try await a.calls.call(Echo(text: ""), of: b.name)
            }
            #expect(failure?.code == .failed)
        }
    }

    @Test func requestsWithoutAUsableIDAreDropped() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            let runs = Mutex(0)
            b.table.register(Echo.self) { _, _ in
                runs.withLock { $0 += 1 }
                return ""
            }
            for id in ["", String(repeating: "i", count: 129)] {
                b.calls.handle(
                    PeerJSON.encode(MeshRequest(id: id, op: Echo.name, body: Echo(text: ""))), from: a.name)
            }
            b.calls.handle(Array("[]".utf8), from: a.name)
            b.calls.handle(Array(#"{"type":"kars:request","op":"test.echo"}"#.utf8), from: a.name)
            _ = try await a.calls.call(Echo(text: ""), of: b.name)
            #expect(runs.withLock { $0 } == 1)
        }
    }

    @Test func callsOutliveARestartOfTheRelayAndRunOnce() async throws {
        try await MeshWorld.run { world in
            var limits = quick
            limits.resendAfter = .milliseconds(500)
            let a = try await world.peer(callLimits: limits)
            let b = try await world.peer()
            let runs = Mutex<[String: Int]>([:])
            b.table.register(Slow.self) { request, _ in
                runs.withLock { $0[request.text, default: 0] += 1 }
                return request.text
            }
            _ = try await a.calls.call(Slow(text: "before"), of: b.name)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 {
                    group.addTask {
                        let answer = try await a.calls.call(Slow(text: "\(number)"), of: b.name)
                        #expect(answer == "\(number)")
                    }
                }
                try await world.restartRelay()
                try await group.waitForAll()
            }
            #expect(runs.withLock { $0.values.allSatisfy { $0 == 1 } })
            #expect(b.knockCount == 1)
        }
    }

    /// Not a test of behaviour: `KARS_MEASURE=1 swift test --filter throughput` prints what a call costs.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["KARS_MEASURE"] != nil))
    func throughputOfCalls() async throws {
        try await MeshWorld.run { world in
            let (a, b) = (try await world.peer(), try await world.peer())
            b.table.register(Echo.self) { request, _ in request.text }
            for width in [1, 8, 64] {
                let count = width == 1 ? 100 : 1_000
                let start = ContinuousClock.now
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for lane in 0..<width {
                        group.addTask {
                            for _ in 0..<(count / width) {
                                _ = try await a.calls.call(Echo(text: "\(lane)"), of: b.name)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let seconds = (ContinuousClock.now - start) / .seconds(1)
                print("\(width) at a time: \(Int(Double(count / width * width) / seconds)) calls/s")
            }
        }
    }
}
