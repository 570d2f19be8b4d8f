import MeshIdentity
import Storage
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

/// Streams between peers, over a real relay.
@Suite(.timeLimit(.minutes(1))) struct MeshStreamsTests {
    private struct EchoStream: StreamOperation {
        static let name = "test.stream"
        static let access = OperationAccess.capability(.handoff)
        static let patience = 20
        var isAllowed = true
        typealias Answer = StreamOpened
    }

    private var quick: StreamLimits {
        var limits = StreamLimits()
        limits.tick = .milliseconds(20)
        limits.heartbeat = .milliseconds(200)
        limits.resendAfter = .milliseconds(500)
        limits.retryAfter = .milliseconds(50)
        return limits
    }

    /// Sends back what comes, until the end of the input.
    private static let echo: StreamWork = { stream in
        var status: Int32 = 0
        while let item = try await stream.next() {
            if item.channel == .endOfInput { return StreamResult(status: status) }
            status += 1
            try await stream.send(StreamItem(.output, item.bytes))
        }
        return StreamResult()
    }

    private func withPair(
        _ near: StreamLimits, _ far: StreamLimits, _ body: (MeshWorld, TestPeer, TestPeer) async throws -> Void
    ) async throws {
        try await MeshWorld.run { world in
            try await body(world, try await world.peer(streamLimits: near), try await world.peer(streamLimits: far))
        }
    }

    private func audit(of peer: TestPeer) async throws -> [String] {
        try await peer.store.database.read {
            try $0.query("SELECT action, decision FROM audit ORDER BY seq") { "\($0.text(0)) \($0.text(1))" }
        }
    }

    @Test func itemsArriveInOrderBothWaysAndTheEndIsTold() async throws {
        try await withPair(quick, quick) { _, a, b in
            b.table.register(stream: EchoStream.self) { request, _ in
                guard request.isAllowed else { throw OperationFailure(.refused, "not this one") }
                return Self.echo
            }
            let failure = await #expect(throws: OperationFailure.self) {
                _ = try await a.calls.open(EchoStream(isAllowed: false), at: b.name)
            }
            #expect(failure?.message == "not this one")
            #expect(a.calls.streams.count == 0 && b.calls.streams.count == 0)

            let stream = try await a.calls.open(EchoStream(), at: b.name)
            let sender = Task {
                for number in 0..<300 { try await stream.send(StreamItem(.input, Array("item \(number)".utf8))) }
                try await stream.send(StreamItem(.endOfInput, [0]))
            }
            var number = 0
            while let item = try await stream.next() {
                #expect(String(decoding: item.bytes, as: UTF8.self) == "item \(number)" && item.channel == .output)
                number += 1
            }
            try await sender.value
            #expect(number == 300 && stream.result == StreamResult(status: 300))
            try await waitUntil("both forgot it") { a.calls.streams.count == 0 && b.calls.streams.count == 0 }
            #expect(
                try await audit(of: b) == ["test.stream allowed", "test.stream allowed", "test.stream:end ended"])
            // A stream that is over takes nothing.
            await #expect(throws: OperationFailure.self) { try await stream.send(StreamItem(.input, [1])) }
        }
    }

    @Test func aSlowReaderHoldsTheSenderBackAndNeitherKeepsMoreThanAWindow() async throws {
        var limits = quick
        limits.window = 64 << 10
        try await withPair(limits, limits) { _, a, b in
            let sent = Mutex(0)
            b.table.register(stream: EchoStream.self) { _, _ in
                { stream in
                    for number in 0..<2_000 {
                        let content = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 1_000)
                        try await stream.send(StreamItem(.output, content))
                        sent.withLock { $0 += 1 }
                    }
                    return StreamResult()
                }
            }
            let stream = try await a.calls.open(EchoStream(), at: b.name)
            // It stops by itself: this end holds a window, and the other one waits for room.
            try await waitUntil("the window is full") { a.calls.streams.held > (63 << 10) - 1_064 }
            let before = sent.withLock { $0 }
            #expect(before <= (64 << 10) / 1_064)
            var number = 0
            while let item = try await stream.next() {
                #expect(item.bytes.count == 1_000 && item.bytes[0] == UInt8(truncatingIfNeeded: number))
                #expect(a.calls.streams.held <= 64 << 10)
                number += 1
            }
            #expect(number == 2_000)
        }
    }

    @Test func aRelayThatGoesAndComesBackLosesNothing() async throws {
        try await withPair(quick, quick) { world, a, b in
            b.table.register(stream: EchoStream.self) { _, _ in Self.echo }
            let stream = try await a.calls.open(EchoStream(), at: b.name)
            let sender = Task {
                for number in 0..<400 { try await stream.send(StreamItem(.input, Array("\(number)".utf8))) }
                try await stream.send(StreamItem(.endOfInput, [0]))
            }
            var number = 0
            while let item = try await stream.next() {
                #expect(String(decoding: item.bytes, as: UTF8.self) == "\(number)")
                number += 1
                if number == 20 { try await world.restartRelay() }
            }
            try await sender.value
            #expect(number == 400 && stream.result?.status == 400)
        }
    }

    /// Also when nobody says so, as with one that expires.
    @Test(arguments: [true, false]) func anEndOfThePairingEndsTheStreamAtBothEnds(isTold: Bool) async throws {
        try await withPair(quick, quick) { _, a, b in
            let failed = Mutex<OperationFailure?>(nil)
            b.table.register(stream: EchoStream.self) { _, _ in
                { stream in
                    do { while try await stream.next() != nil {} } catch {
                        failed.withLock { $0 = error as? OperationFailure }
                        throw error
                    }
                    return StreamResult()
                }
            }
            let stream = try await a.calls.open(EchoStream(), at: b.name)
            b.endPairing()
            if isTold { await b.calls.reconsiderStreams() }
            let failure = await #expect(throws: OperationFailure.self) { _ = try await stream.next() }
            #expect(failure?.code == .refused)
            try await waitUntil("the work ended") { failed.withLock { $0?.code } == .refused }
            #expect(a.calls.streams.count == 0 && b.calls.streams.count == 0)
            try await waitUntil("it is in the audit log") { try await audit(of: b).last == "test.stream:end refused" }
            // And no other is opened.
            await #expect(throws: OperationFailure.self) { _ = try await a.calls.open(EchoStream(), at: b.name) }
        }
    }

    @Test func eitherEndCancelsAndTheOtherHearsIt() async throws {
        try await withPair(quick, quick) { _, a, b in
            let failed = Mutex<String?>(nil)
            b.table.register(stream: EchoStream.self) { request, _ in
                { stream in
                    _ = try await stream.next()
                    try await stream.send(StreamItem(.output, [1]))
                    do { _ = try await stream.next() } catch { failed.withLock { $0 = "\(error)" } }
                    throw OperationFailure(.conflict, "no more")
                }
            }
            let stream = try await a.calls.open(EchoStream(), at: b.name)
            try await stream.send(StreamItem(.input, [1]))
            #expect(try await stream.next()?.bytes == [1])
            stream.cancel(OperationFailure(.unavailable, "enough"))
            try await waitUntil("the other end heard") { failed.withLock { $0 } == "enough" }
            await #expect(throws: OperationFailure.self) { _ = try await stream.next() }

            let second = try await a.calls.open(EchoStream(), at: b.name)
            for _ in 0..<2 { try await second.send(StreamItem(.input, [1])) }
            #expect(try await second.next() == StreamItem(.output, [1]))
            #expect(try await second.next() == nil)
            #expect(second.result?.failure == OperationFailure(.conflict, "no more"))
            // A reader that is cancelled waits no longer, and costs the stream nothing.
            let third = try await a.calls.open(EchoStream(), at: b.name)
            let reader = Task { try await third.next() }
            reader.cancel()
            await #expect(throws: CancellationError.self) { _ = try await reader.value }
            third.cancel(OperationFailure(.unavailable, "enough"))
            try await waitUntil("all are forgotten") { a.calls.streams.count == 0 && b.calls.streams.count == 0 }
        }
    }

    @Test func anEndThatFellSilentIsGivenUp() async throws {
        var limits = quick
        limits.silence = .milliseconds(600)
        try await withPair(quick, limits) { _, a, b in
            let failed = Mutex<OperationFailure.Code?>(nil)
            b.table.register(stream: EchoStream.self) { _, _ in
                { stream in
                    do { while try await stream.next() != nil {} } catch {
                        failed.withLock { $0 = (error as? OperationFailure)?.code }
                        throw error
                    }
                    return StreamResult()
                }
            }
            // Asked for, and never heard of again.
            let (offer, silent) = try a.calls.streams.offer(to: b.name)
            a.calls.streams.ended(silent)
            let id = FrameID.make()
            try await a.client.send(
                PeerJSON.encode(MeshRequest(id: id, op: EchoStream.name, body: EchoStream(), stream: offer)), to: b.name)
            try await waitUntil("it is open") { b.calls.streams.count == 1 }
            // What is unknown is answered, which would end it sooner; so this peer is not even there.
            a.client.stop()
            try await waitUntil("it is given up") { failed.withLock { $0 } == .timedOut }
            #expect(b.calls.streams.count == 0)
        }
    }

    @Test func aPeerThatIgnoresTheWindowOrSendsGarbageLosesItsStreamAlone() async throws {
        try await withPair(quick, quick) { _, a, b in
            let ends = Mutex<[OperationFailure.Code]>([])
            b.table.register(stream: EchoStream.self) { _, _ in
                { stream in
                    do {
                        // Reads nothing, but notices the end.
                        try await stream.send(StreamItem(.output, [1]))
                        while true {
                            try await stream.send(StreamItem(.output, [UInt8](repeating: 0, count: 100_000)))
                        }
                    } catch {
                        ends.withLock { $0.append((error as? OperationFailure)?.code ?? .failed) }
                        throw error
                    }
                }
            }
            let window = UInt64(quick.window)
            let bad: [StreamFrame.Body] = [
                .data(offset: window, channel: 0, content: [1]), .data(offset: 0, channel: 200, content: [1]),
                .data(offset: 0, channel: 5, content: PeerJSON.encode(StreamResult())),
                .window(received: 1 << 50, limit: 1 << 60, misses: false), .window(received: 1, limit: 1 << 60, misses: false),
            ]
            for (number, body) in bad.enumerated() {
                let (offer, stream) = try a.calls.streams.offer(to: b.name)
                a.calls.streams.ended(stream)
                try await a.client.send(
                    PeerJSON.encode(MeshRequest(id: FrameID.make(), op: EchoStream.name, body: EchoStream(), stream: offer)),
                    to: b.name)
                try await a.client.send(StreamFrame(stream: offer.id, body).encode(), to: b.name)
                try await waitUntil("stream \(number) ended") { ends.withLock { $0.count } == number + 1 }
            }
            // Or whatever, and for streams that are not there.
            var random = SeededRandom(seed: 3)
            for _ in 0..<100 {
                var bytes = StreamFrame(stream: .make(), .data(offset: 0, channel: 0, content: random.bytes(50))).encode()
                bytes[Int(random.next() % UInt64(bytes.count - 1)) + 1] = UInt8(truncatingIfNeeded: random.next())
                try await a.client.send(bytes, to: b.name)
            }
            #expect(b.calls.streams.count == 0)
            // The session carries on.
            b.table.register(Echo.self) { request, _ in request.text }
            #expect(try await a.calls.call(Echo(text: "still"), of: b.name) == "still")
        }
    }

    @Test func offersThatCannotBeTakenAreRefusedAndCountsAreBounded() async throws {
        var limits = quick
        limits.incomingPerPeer = 2
        limits.outgoing = 3
        try await withPair(limits, limits) { _, a, b in
            b.table.register(stream: EchoStream.self) { _, _ in Self.echo }
            func ask(_ offer: StreamOffer?) async throws -> [UInt8] {
                let request = MeshRequest(id: "x", op: EchoStream.name, body: EchoStream(), stream: offer)
                return await b.table.answer(PeerJSON.encode(request), from: .operatorOfThisPeer) { offer, access in
                    (try b.calls.streams.accept(offer, from: a.name, access: access), StreamOpened(window: 1 << 20))
                }
            }
            var old = StreamOffer(id: .make(), window: 1 << 20)
            old.v = 2
            for offer in [nil, old, StreamOffer(id: .make(), window: 1), StreamOffer(id: .make(), window: .max)] {
                let answer = try await ask(offer)
                #expect(PeerJSON.decode(OperationResponse<StreamOpened>.self, from: answer)?.error?.code == .invalid)
            }
            var open: [any PeerStream] = []
            for _ in 0..<2 { open.append(try await a.calls.open(EchoStream(), at: b.name)) }
            await #expect(throws: OperationFailure.self) { _ = try await a.calls.open(EchoStream(), at: b.name) }
            open[0].cancel(OperationFailure(.unavailable, "enough"))
            try await waitUntil("there is room again") { b.calls.streams.count == 1 }
            open.append(try await a.calls.open(EchoStream(), at: b.name))
            for stream in open { stream.cancel(OperationFailure(.unavailable, "enough")) }
            // Whoever answers an ordinary request cannot be asked for a stream.
            let failure = await #expect(throws: OperationFailure.self) {
                _ = try await NodeClient(exchange: { _ in [] }).open(EchoStream())
            }
            #expect(failure?.code == .refused)
            b.calls.stopStreams()
            await #expect(throws: OperationFailure.self) { _ = try await a.calls.open(EchoStream(), at: b.name) }
        }
    }
}
