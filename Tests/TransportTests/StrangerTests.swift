import Foundation
import Testing

@testable import Transport

/// What a server does with peers that do not keep to the rules.
@Suite struct StrangerTests {
    private func get(_ path: String, _ fields: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: x\r\n\(fields)\r\n"
    }

    @Test(arguments: Carrier.allCases)
    func oneConnectionCarriesManyRequests(carrier: Carrier) async throws {
        try await withSite(carrier, http: { .text("<\($0.path)>") }) { site in
            let peer = try RawSocket(site.server.endpoint)
            for number in 0..<50 {
                await peer.write(get("/\(number)"))
                #expect(await peer.read(until: "</\(number)>").hasPrefix("HTTP/1.1 200 OK\r\n"))
            }
            await peer.write(
                "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + get("/after"))
            let answers = await peer.read(until: "</after>")
            #expect(answers.contains("</p>"))
            await peer.write(get("/last", "Connection: close\r\n"))
            let last = String(decoding: await peer.readToEnd(), as: UTF8.self)
            #expect(last.contains("</last>"))
            #expect(last.contains("connection: close"))
            peer.close()
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await withSite(http: { .text("<\($0.path)>") }) { site in
            let peer = try RawSocket(site.server.endpoint)
            await peer.write((0..<30).map { get("/\($0)") }.joined())
            let answers = await peer.read(until: "</29>")
            #expect(answers.matches(of: /<\/(\d+)>/).map { Int($0.1) } == Array(0..<30))
            peer.close()
        }
    }

    @Test(arguments: [1, 2, 3, 7, 16, 1000])
    func aChunkedRequestBodyIsDecodedHoweverItIsCut(size: Int) async throws {
        var limits = ServerLimits()
        limits.handshakeTimeout = .seconds(120)
        try await withSite(limits: limits, http: { .bytes($0.body) }) { site in
            let peer = try RawSocket(site.server.endpoint)
            let text =
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "4\r\nWiki\r\n6;x=y\r\npedia \r\n0\r\nt: 1\r\n\r\n"
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                await peer.write(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            let answer = String(decoding: await peer.readToEnd(), as: UTF8.self)
            #expect(answer.hasSuffix("\r\n\r\nWikipedia "))
            peer.close()
        }
    }

    @Test func anExpectationIsMetBeforeTheBody() async throws {
        try await withSite(http: { .bytes($0.body) }) { site in
            let peer = try RawSocket(site.server.endpoint)
            await peer.write("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            #expect(await peer.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
            await peer.write("ok")
            #expect(await peer.read(until: "ok").hasPrefix("HTTP/1.1 200"))
            peer.close()
        }
    }

    @Test func anOldClientGetsAStreamUntilTheEnd() async throws {
        let handler: HTTPHandler = { _ in
            HTTPResponse(
                status: 200,
                body: .stream { writer in
                    try await writer.write(Array("one".utf8))
                    try await writer.write(Array("two".utf8))
                })
        }
        try await withSite(http: handler) { site in
            let peer = try RawSocket(site.server.endpoint)
            await peer.write("GET / HTTP/1.0\r\n\r\n")
            #expect(String(decoding: await peer.readToEnd(), as: UTF8.self).hasSuffix("\r\n\r\nonetwo"))
            peer.close()
        }
    }

    @Test(arguments: [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400), ("Content-Length: -1", 400),
        ("Content-Length: 1x", 400), ("Content-Length: 99999999999999999999", 400),
        ("Content-Length: 2000000", 413), ("Transfer-Encoding: gzip", 400),
    ])
    func doubtfulBodiesAreRefused(fields: String, status: Int) async throws {
        let calls = Tally()
        try await withSite(http: { _ in calls.add(); return .text("") }) { site in
            let peer = try RawSocket(site.server.endpoint)
            await peer.write("POST / HTTP/1.1\r\nHost: x\r\n\(fields)\r\n\r\n")
            #expect(await peer.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 \(status) "))
            #expect(calls.count == 0)
            peer.close()
        }
    }

    @Test func aSlowHandshakeIsCut() async throws {
        var limits = ServerLimits()
        limits.handshakeTimeout = .milliseconds(200)
        try await withSite(limits: limits) { site in
            for text in ["", "GET / HT", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"] {
                let peer = try RawSocket(site.server.endpoint)
                await peer.write(text)
                #expect(await peer.readToEnd() == [])
                peer.close()
            }
        }
    }

    @Test func anIdleConnectionIsCut() async throws {
        var limits = ServerLimits()
        limits.keepAliveTimeout = .milliseconds(200)
        try await withSite(limits: limits, http: { _ in .text("here") }) { site in
            let peer = try RawSocket(site.server.endpoint)
            await peer.write(get("/"))
            #expect(String(decoding: await peer.readToEnd(), as: UTF8.self).hasSuffix("here"))
            peer.close()
        }
    }

    @Test func connectionsAboveTheLimitAreClosed() async throws {
        var limits = ServerLimits()
        limits.maximumConnections = 3
        try await withSite(limits: limits, http: { _ in .text("<in>") }) { site in
            let peers = try (0..<3).map { _ in try RawSocket(site.server.endpoint) }
            for peer in peers {
                await peer.write(get("/"))
                #expect(await peer.read(until: "<in>").hasSuffix("<in>"))
            }
            let extra = try RawSocket(site.server.endpoint)
            #expect(await extra.readToEnd() == [])
            extra.close()
            peers[0].close()
            try await eventually {
                let next = try RawSocket(site.server.endpoint)
                defer { next.close() }
                await next.write(get("/"))
                return await next.read(until: "<in>").hasSuffix("<in>")
            }
            for peer in peers.dropFirst() { peer.close() }
        }
    }

    @Test func anEndlessHeadIsCut() async throws {
        try await withSite { site in
            let peer = try RawSocket(site.server.endpoint)
            await peer.write("GET / HTTP/1.1\r\nHost: x\r\nX-A: " + String(repeating: "a", count: 100_000))
            #expect(await peer.readToEnd() == [])
            peer.close()
        }
    }

    @Test(arguments: [
        "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "BREW / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: tea\r\nConnection: upgrade\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /%zz HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}",
    ])
    func whatIsNoRequestEndsTheConnection(text: String) async throws {
        var limits = ServerLimits()
        limits.handshakeTimeout = .milliseconds(500)
        let calls = Tally()
        try await withSite(limits: limits, http: { _ in calls.add(); return .text("") }) { site in
            let peer = try RawSocket(site.server.endpoint)
            await peer.write(text)
            #expect(!String(decoding: await peer.readToEnd(), as: UTF8.self).contains(" 200 "))
            #expect(calls.count == 0)
            peer.close()
        }
    }

    @Test func randomAndMutatedBytesNeverHurtTheServer() async throws {
        var random = SeededGenerator(seed: 7)
        let templates = [
            get("/a?b=c&d=%20", "X: y\r\nConnection: keep-alive\r\n"),
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
            get("/", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
        ]
        var limits = ServerLimits()
        limits.handshakeTimeout = .milliseconds(300)
        try await withSite(limits: limits, http: { .bytes($0.body) }, webSocket: { _ in Echo() }) { site in
            for round in 0..<400 {
                var bytes = Array(templates[round % templates.count].utf8)
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    let index = Int.random(in: 0..<bytes.count, using: &random)
                    switch Int.random(in: 0..<4, using: &random) {
                    case 0: bytes[index] = .random(in: 0...255, using: &random)
                    case 1: bytes.remove(at: index)
                    case 2: bytes.insert(.random(in: 0...255, using: &random), at: index)
                    default: bytes += (0..<50).map { _ in .random(in: 0...255, using: &random) }
                    }
                }
                let peer = try RawSocket(site.server.endpoint)
                await peer.write(bytes)
                peer.close()
            }
            let answer = try await site.client.send(
                HTTPClientRequest(method: "POST", url: site.url, body: [1, 2, 3]))
            #expect(answer.body == [1, 2, 3])
        }
    }

    @Test func randomFramesNeverHurtTheServer() async throws {
        var random = SeededGenerator(seed: 11)
        try await withSite(webSocket: { _ in Echo() }) { site in
            for _ in 0..<200 {
                let peer = try RawSocket(site.server.endpoint)
                await peer.write(
                    get("/", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
                #expect(await peer.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 101"))
                var bytes: [UInt8] = [0x81, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9]
                bytes += (0..<Int.random(in: 0...200, using: &random)).map { _ in .random(in: 0...255, using: &random) }
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
                await peer.write(bytes)
                peer.close()
            }
            let recorder = Recorder()
            let socket = try await WebSocketClient.connect(
                to: site.url.webSocket, on: site.loop, delegate: recorder)
            socket.send([1])
            try await eventually { recorder.messageCount == 1 }
        }
    }

    @Test func aBrokenServerNeverHurtsTheClient() async throws {
        let answers = [
            "", "HTTP/1.1", "HTTP/1.1 200 OK\r\n", "garbage\r\n\r\n", "HTTP/1.1 999999 X\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nabcde\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80000000\r\nabcde\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabcde\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ]
        try await withFolder { folder in
            try await withLoop { loop in
                let listening = try ListeningSocket.open(.tcp(host: "127.0.0.1", port: 0))
                defer { close(listening.descriptor) }
                let client = HTTPClient(loop: loop, timeout: .seconds(10))
                for answer in answers {
                    let url = listening.endpoint.serviceURL
                    let call = Task { try await client.send(HTTPClientRequest(url: url)) }
                    let peer = try await RawSocket(accepting: listening.descriptor)
                    _ = await peer.read(until: "\r\n\r\n")
                    await peer.write(answer)
                    peer.close()
                    await #expect(throws: TransportError.self, "\(answer)") { _ = try await call.value }
                }
                let url = listening.endpoint.serviceURL
                let call = Task { try await client.send(HTTPClientRequest(url: url)) }
                let peer = try await RawSocket(accepting: listening.descriptor)
                _ = await peer.read(until: "\r\n\r\n")
                await peer.write("HTTP/1.1 200 OK\r\n\r\nuntil the end")
                peer.close()
                #expect(try await call.value.body == Array("until the end".utf8))
            }
        }
    }
}

/// Random numbers that are the same in every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
