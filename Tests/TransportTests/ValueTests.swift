import Testing

@testable import Transport

@Suite struct ValueTests {
    @Test func headersIgnoreCaseAndKeepOrder() {
        var headers: HTTPHeaders = ["A": "1", "b": "2"]
        headers.add("a", "3")
        #expect(headers["a"] == "1")
        #expect(headers.values(of: "A") == ["1", "3"])
        #expect(headers.map(\.name) == ["A", "b", "a"])
        headers["a"] = "4"
        #expect(headers.values(of: "A") == ["4"])
        headers["B"] = nil
        #expect(headers == ["a": "4"])
        #expect(headers != ["a": "5"])
    }

    @Test(arguments: [
        ("a", "b", true), ("x-1", "", true), ("", "b", false), ("a b", "c", false), ("a:", "c", false),
        ("a", "b\r\nc", false), ("a", "b\u{0}", false), ("a", "tab\tok", true), ("é", "b", false), ("a", "é", true),
    ])
    func onlyFieldsThatKeepTheFramingAreWellFormed(name: String, value: String, isWellFormed: Bool) {
        var headers = HTTPHeaders()
        headers.add(name, value)
        #expect(headers.isWellFormed == isWellFormed)
    }

    @Test(arguments: [
        ("a=1", "a", "1"), ("b=2&a=1&a=3", "a", "1"), ("a", "a", ""), ("a=", "a", ""), ("%61=%2B+x", "a", "+ x"),
        ("x=1", "a", nil), ("a=%zz", "a", nil), ("a=%f", "a", nil), ("a=%ff", "a", nil), ("", "a", nil),
        ("a=b=c", "a", "b=c"),
    ])
    func queryValuesAreDecoded(query: String, name: String, value: String?) {
        #expect(HTTPRequest(path: "/", query: query).queryValue(name) == value)
        #expect(WebSocketUpgrade(path: "/", query: query).queryValue(name) == value)
    }

    @Test func jsonIsSortedAndKeepsSlashes() {
        guard case .bytes(let bytes) = HTTPResponse.json(["b": "/", "a": "é"]).body else {
            Issue.record("no bytes")
            return
        }
        #expect(String(decoding: bytes, as: UTF8.self) == #"{"a":"é","b":"/"}"#)
    }

    @Test func chunksAreDecodedAtEverySplit() throws {
        let wire = Array("3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nrest".utf8)
        for cut in 0...wire.count {
            var decoder = ChunkedDecoder()
            var body: [UInt8] = []
            for piece in [wire[..<cut], wire[cut...]] {
                try decode(Array(piece), with: &decoder, into: &body)
            }
            #expect(decoder.isDone)
            #expect(String(decoding: body, as: UTF8.self) == "abc0123456789")
        }
    }

    @Test(arguments: ["\r\n", "g\r\n", "-1\r\n", "123456789\r\n", "1\r\nabc", "0x1\r\n", " 1\r\n"])
    func malformedChunksAreRefused(text: String) {
        var decoder = ChunkedDecoder()
        var body: [UInt8] = []
        #expect(throws: TransportError.self) {
            try decode(Array(text.utf8), with: &decoder, into: &body)
        }
    }

    @Test func randomChunksNeverTrap() {
        var random = SeededGenerator(seed: 5)
        let alphabet = Array("0123fF;\r\n x".utf8)
        for _ in 0..<20_000 {
            var decoder = ChunkedDecoder()
            var body: [UInt8] = []
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
            try? decode(bytes, with: &decoder, into: &body)
            #expect(body.count <= bytes.count)
        }
    }

    @Test func anOutboxIsBoundedAndClosesInOrder() {
        func message(_ count: Int) -> OutgoingMessage {
            pattern(count).withUnsafeBytes { OutgoingMessage(copying: $0, kind: .binary) }
        }
        var outbox = Outbox(maximumBytes: 1000)
        let asked = [
            outbox.append(message(400)), outbox.append(message(300)),
            outbox.close(code: 4000, reason: "x"), outbox.append(message(1)),
        ]
        #expect(asked == [true, false, false, false])
        #expect(outbox.queuedBytes == 700)
        guard case .message(let first, isLast: false) = outbox.takeNext(),
            case .message(let second, isLast: true) = outbox.takeNext(),
            case .close(let close) = outbox.takeNext(), case .nothing = outbox.takeNext()
        else {
            Issue.record("another order")
            return
        }
        #expect([first.payloadBytes, second.payloadBytes] == [400, 300])
        #expect(close == Outbox.Close(code: 4000, reason: "x"))
        #expect(outbox.queuedBytes == 0)

        var full = Outbox(maximumBytes: 1000)
        for _ in 0..<100 { _ = full.append(message(0)) }
        guard case .close(let overflow) = full.takeNext() else {
            Issue.record("no close")
            return
        }
        #expect(overflow.code == 1013)
    }

    @Test(arguments: [
        (1000, "bye", 1000), (1012, "", 1012), (1013, "busy", 1013), (1014, "x", 1014), (4006, "session_replaced", 4006),
    ])
    func closeCodesSurviveALibraryThatMakesThem1002(code: Int, reason: String, received: Int) {
        let sent = String(decoding: CloseCode.reasonToSend(reason, with: code), as: UTF8.self)
        let seen = (1012...1014).contains(code) ? 1002 : code
        #expect(CloseCode.received(seen, reason: sent) == received)
        #expect(CloseCode.received(1002, reason: "other") == 1002)
        #expect(CloseCode.reasonToSend(String(repeating: "é", count: 100), with: code).count <= 123)
    }

    @Test func timersFireInOrderAndCancelledOnesNever() {
        var heap = TimerHeap()
        var random = SeededGenerator(seed: 9)
        let start = ContinuousClock.now
        var delays: [Int] = []
        for _ in 0..<500 {
            let delay = Int.random(in: 0..<100, using: &random)
            let task = ScheduledTask({}, onCancel: {})
            if Bool.random(using: &random) { task.cancel() } else { delays.append(delay) }
            heap.insert(task, at: start + .milliseconds(delay))
        }
        heap.compact()
        #expect(heap.count == delays.count)
        var seen: [ContinuousClock.Instant] = []
        while let deadline = heap.nextDeadline, let task = heap.popDue(at: start + .seconds(1)) {
            #expect(!task.isCancelled)
            seen.append(deadline)
        }
        #expect(seen == delays.sorted().map { start + .milliseconds($0) })
    }
}

private func decode(_ bytes: [UInt8], with decoder: inout ChunkedDecoder, into body: inout [UInt8]) throws {
    try bytes.withUnsafeBytes { try decoder.decode($0, into: &body) }
}
