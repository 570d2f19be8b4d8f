import MeshIdentity
import TestSupport
import Testing

@testable import MeshNode

/// Frames and windows of streams, without I/O.
struct StreamWindowsTests {
    private let id = StreamID(bytes: Array(0..<16))!

    @Test func framesAreReadAsTheyWereWritten() {
        let bodies: [StreamFrame.Body] = [
            .data(offset: 0, channel: 1, content: [7]),
            .data(offset: .max, channel: 255, content: Array(repeating: 1, count: StreamFrame.maximumContent)),
            .window(received: 5, limit: 1 << 40, misses: true), .window(received: 0, limit: 0, misses: false),
            .reset(OperationFailure(.refused, "no", hint: "ask")),
        ]
        for body in bodies { #expect(StreamFrame(StreamFrame(stream: id, body).encode()) == StreamFrame(stream: id, body)) }
        // A reason of any length is cut.
        let long = StreamFrame(stream: id, .reset(OperationFailure(.failed, String(repeating: "ü", count: 9_000))))
        #expect(StreamFrame(long.encode())?.body == .reset(OperationFailure(.failed, String(repeating: "ü", count: 100))))
        // No JSON is taken for one.
        #expect(!StreamFrame.begins(Array(#"{"type":"kars:hello"}"#.utf8)))
    }

    @Test func framesThatCannotBeAreNone() {
        let whole = StreamFrame(stream: id, .window(received: 1, limit: 2, misses: false)).encode()
        for count in 0..<whole.count { #expect(StreamFrame(Array(whole.prefix(count))) == nil) }
        #expect(StreamFrame(whole + [0]) == nil)
        var version = whole
        version[0] = 2
        #expect(StreamFrame(version) == nil && !StreamFrame.begins(version))
        #expect(StreamFrame(StreamFrame(stream: id, .data(offset: 0, channel: 0, content: [])).encode()) == nil)
        let tooLong = [UInt8](repeating: 0, count: StreamFrame.maximumContent + 1)
        #expect(StreamFrame(StreamFrame(stream: id, .data(offset: 0, channel: 0, content: tooLong)).encode()) == nil)
    }

    @Test func randomAndMutatedFramesNeverTrap() {
        var random = SeededRandom(seed: 11)
        let samples = [
            StreamFrame(stream: id, .data(offset: 9, channel: 3, content: [1, 2, 3])).encode(),
            StreamFrame(stream: id, .window(received: 1, limit: 2, misses: true)).encode(),
            StreamFrame(stream: id, .reset(OperationFailure(.failed, "x"))).encode(),
        ]
        for round in 0..<4_000 {
            var bytes = round.isMultiple(of: 2) ? random.bytes(round % 90) : samples[round / 2 % 3]
            if !bytes.isEmpty { bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next()) }
            guard let frame = StreamFrame(bytes) else { continue }
            // Whatever is read can be written, and reads the same then.
            #expect(StreamFrame(frame.encode()) == frame)
        }
    }

    /// Sender and receiver over a way that loses, repeats and delays: everything arrives once and in order, and neither
    /// ever holds more than its window.
    @Test(arguments: 0..<40 as Range<UInt64>) func whatIsLostOnTheWayIsSentAgain(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let capacity = 2_000
        var out = StreamSendWindow(limit: capacity, capacity: capacity)
        var into = StreamReceiveWindow(capacity: capacity)
        var forth: [StreamSendWindow.Piece] = []
        var back: [(UInt64, UInt64)] = []
        var sent: [UInt8] = []
        var arrived: [UInt8] = []
        var rounds = 0
        while arrived.count < 5_000 {
            rounds += 1
            guard rounds < 200_000 else { return #expect(Bool(false), "it never ends") }
            switch random.next() % 8 {
            case 0, 1:
                let piece = random.bytes(1 + Int(random.next() % 300))
                if sent.count < 5_000, out.hasRoom(for: piece.count) {
                    out.append(0, piece)
                    sent += piece
                }
            case 2, 3: if let piece = out.next(), random.next() % 5 != 0 { forth.append(piece) }
            case 4 where !forth.isEmpty:
                let piece = random.next() % 9 == 0 ? forth[0] : forth.removeFirst()
                #expect(into.take(offset: piece.offset, channel: piece.channel, piece.content) != .violation)
            case 5: if let piece = into.next() { arrived += piece.content }
            case 6: back.append(into.grant())
            case 7 where !back.isEmpty:
                let (received, limit) = random.next() % 3 == 0 ? back[0] : back.removeFirst()
                #expect(out.take(received: received, limit: limit) != nil)
                if random.next() % 10 == 0 { out.startOver() }
            default: break
            }
            #expect(into.held <= capacity && out.end - out.confirmed <= capacity)
        }
        #expect(arrived == Array(sent.prefix(arrived.count)))
    }

    @Test func whoeverSendsMoreThanItMayIsFoundOut() {
        var into = StreamReceiveWindow(capacity: 1_000)
        #expect(into.take(offset: 0, channel: 0, [UInt8](repeating: 0, count: 937)) == .violation)
        #expect(into.take(offset: 0, channel: 0, [UInt8](repeating: 0, count: 936)) == .taken)
        #expect(into.take(offset: 1_000, channel: 0, [1]) == .violation)
        #expect(into.take(offset: .max, channel: 0, [1]) == .violation)
        #expect(into.take(offset: 0, channel: 0, [UInt8](repeating: 0, count: 936)) == .repeated)
        #expect(into.take(offset: 0, channel: 0, [1]) == .repeated)
        // Taken, it may send again; many empty hands count too.
        #expect(into.next()?.content.count == 936)
        _ = into.grant()
        #expect(into.take(offset: 1_010, channel: 0, [1]) == .missing)
        var count = 0
        while into.take(offset: into.received, channel: 0, [1]) == .taken { count += 1 }
        #expect(count == 1_000 / 65)
    }

    @Test func confirmationsThatCannotBeAreFoundOut() {
        var out = StreamSendWindow(limit: 1_000, capacity: 1_000)
        out.append(0, [1])
        out.append(0, [2])
        #expect(out.take(received: 131, limit: 1_000) == nil)
        #expect(out.take(received: 64, limit: 1_000) == nil)
        #expect(out.take(received: 65, limit: 1_000) == true)
        #expect(out.take(received: 0, limit: 5_000) == false)
        // Whatever the other end allows, this end keeps no more than its own window.
        #expect(out.take(received: 130, limit: .max) == true)
        #expect(out.hasRoom(for: 900) && !out.hasRoom(for: 2_000))
    }
}
