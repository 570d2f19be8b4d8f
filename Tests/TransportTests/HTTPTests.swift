import Foundation
import Synchronization
import Testing

@testable import Transport

@Suite struct HTTPTests {
    @Test(arguments: Carrier.allCases, [0, 1, 65_536, 1 << 20])
    func bodiesOfEverySizeArriveWholeBothWays(carrier: Carrier, size: Int) async throws {
        try await withSite(carrier, http: { .bytes($0.body) }) { site in
            let body = pattern(size)
            let answer = try await site.client.send(
                HTTPClientRequest(method: "POST", url: site.url, body: body))
            #expect(answer.status == 200)
            #expect(answer.body == body)
        }
    }

    @Test(arguments: Carrier.allCases, ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "POST"])
    func theHandlerSeesMethodPathQueryAndHeaders(carrier: Carrier, method: String) async throws {
        let handler: HTTPHandler = { request in
            #expect(request.method == method)
            #expect(request.path == "/v1/caf%C3%A9/x:y")
            #expect(request.queryValue("a") == "1 2&3")
            #expect(request.queryValue("b") == "")
            #expect(request.queryValue("none") == nil)
            #expect(request.headers["Content-Type"] == "text/x")
            #expect(request.headers["X-Kars"] == "yes")
            #expect(request.remoteAddress == (carrier == .tcp ? "127.0.0.1" : "unix"))
            return HTTPResponse(status: 207, headers: ["X-Kars": "back"], body: .bytes([1]))
        }
        try await withSite(carrier, customHeaders: ["X-Kars"], http: handler) { site in
            let answer = try await site.client.send(
                HTTPClientRequest(
                    method: method, url: site.url.appending(path: "/v1/caf%C3%A9/x:y?a=1+2%263&b="),
                    headers: ["x-kars": "yes", "content-type": "text/x"]))
            #expect(answer.status == 207)
            #expect(answer.headers["x-kars"] == "back")
            #expect(answer.body == [1])
        }
    }

    @Test(arguments: Carrier.allCases)
    func headAndBodilessStatusesCarryNoBody(carrier: Carrier) async throws {
        let handler: HTTPHandler = { request in
            request.path == "/none" ? HTTPResponse(status: 204) : .text("twelve bytes")
        }
        try await withSite(carrier, http: handler) { site in
            let head = try await site.client.send(HTTPClientRequest(method: "HEAD", url: site.url))
            #expect(head.headers["content-length"] == "12")
            #expect(head.body.isEmpty)
            let none = try await site.client.send(
                HTTPClientRequest(url: site.url.appending(path: "/none")))
            #expect(none.status == 204)
            #expect(none.body.isEmpty)
        }
    }

    @Test(arguments: Carrier.allCases)
    func manyRequestsRunAtOnce(carrier: Carrier) async throws {
        try await withSite(carrier, http: { .text("\($0.queryValue("n") ?? "")") }) { site in
            try await withThrowingTaskGroup(of: (String, String).self) { group in
                for number in 0..<100 {
                    group.addTask {
                        let answer = try await site.client.send(
                            HTTPClientRequest(url: site.url.appending(path: "/?n=\(number)")))
                        return ("\(number)", String(decoding: answer.body, as: UTF8.self))
                    }
                }
                for try await (sent, received) in group { #expect(sent == received) }
            }
        }
    }

    @Test func aBodyAboveTheLimitIsAnsweredWith413() async throws {
        var limits = ServerLimits()
        limits.maximumBodyBytes = 1000
        let calls = Tally()
        try await withSite(limits: limits, http: { _ in calls.add(); return .text("") }) { site in
            let refused = try await site.client.send(
                HTTPClientRequest(method: "POST", url: site.url, body: pattern(100_000)))
            #expect(refused.status == 413)
            #expect(calls.count == 0)
            let taken = try await site.client.send(
                HTTPClientRequest(method: "POST", url: site.url, body: pattern(1000)))
            #expect(taken.status == 200)
        }
    }

    @Test func anAnswerAboveTheClientsLimitIsRefused() async throws {
        try await withSite(http: { _ in .bytes(pattern(5000)) }) { site in
            let client = HTTPClient(loop: site.loop, maximumBodyBytes: 4999)
            await #expect(throws: TransportError.tooLarge(limit: 4999)) {
                try await client.send(HTTPClientRequest(url: site.url))
            }
        }
    }

    @Test(arguments: Carrier.allCases)
    func aStreamedAnswerWaitsForASlowReader(carrier: Carrier) async throws {
        let written = Tally()
        let piece = pattern(64 << 10)
        let handler: HTTPHandler = { _ in
            HTTPResponse(
                status: 200,
                body: .stream { writer in
                    for _ in 0..<200 {
                        try await writer.write(piece)
                        written.add()
                    }
                })
        }
        try await withSite(carrier, http: handler) { site in
            let answer = try await site.client.stream(HTTPClientRequest(url: site.url))
            // 12.5 MiB fit into no buffer on the way: the writer must come to rest before its end.
            var last = -1
            try await eventually {
                try await Task.sleep(for: .milliseconds(100))
                defer { last = written.count }
                return written.count == last && last > 0
            }
            #expect(written.count < 200)
            var received = 0
            for try await bytes in answer.body { received += bytes.count }
            #expect(received == 200 * piece.count)
            #expect(written.count == 200)
        }
    }

    @Test func aFailedStreamIsSeenAsBroken() async throws {
        struct Broken: Error {}
        let handler: HTTPHandler = { _ in
            HTTPResponse(
                status: 200,
                body: .stream { writer in
                    try await writer.write([1, 2, 3])
                    throw Broken()
                })
        }
        try await withSite(http: handler) { site in
            await #expect(throws: TransportError.closed) {
                try await site.client.send(HTTPClientRequest(url: site.url))
            }
        }
    }

    @Test(arguments: Carrier.allCases)
    func aClientThatGoesAwayCancelsTheHandler(carrier: Carrier) async throws {
        let began = OneShot()
        let cancelled = OneShot()
        let handler: HTTPHandler = { _ in
            began.fire()
            try? await Task.sleep(for: .seconds(3600))
            if Task.isCancelled { cancelled.fire() }
            return .text("")
        }
        try await withSite(carrier, http: handler) { site in
            let task = Task { try await site.client.send(HTTPClientRequest(url: site.url)) }
            await began.wait()
            task.cancel()
            await cancelled.wait()
            await #expect(throws: TransportError.closed) { try await task.value }
        }
    }

    @Test(arguments: Carrier.allCases)
    func aReaderThatIsDroppedStopsTheWriter(carrier: Carrier) async throws {
        let stopped = OneShot()
        let handler: HTTPHandler = { _ in
            HTTPResponse(
                status: 200,
                body: .stream { writer in
                    defer { stopped.fire() }
                    while true { try await writer.write(pattern(10_000)) }
                })
        }
        try await withSite(carrier, http: handler) { site in
            do {
                let answer = try await site.client.stream(HTTPClientRequest(url: site.url))
                #expect(answer.status == 200)
            }
            await stopped.wait()
        }
    }

    @Test func silenceOfAServerEndsInATimeout() async throws {
        try await withSite(
            timeout: .milliseconds(200),
            http: { _ in
                try? await Task.sleep(for: .seconds(3600))
                return .text("")
            }
        ) { site in
            await #expect(throws: TransportError.timedOut("connection to \(site.url.place)")) {
                try await site.client.send(HTTPClientRequest(url: site.url))
            }
        }
    }

    @Test func nobodyListeningIsAConnectError() async throws {
        try await withLoop { loop in
            let client = HTTPClient(loop: loop)
            for text in ["http://127.0.0.1:1/", "unix:/tmp/kars-nobody-here", "http://localhost:1/"] {
                let url = try ServiceURL(parsing: text)
                do {
                    _ = try await client.send(HTTPClientRequest(url: url))
                    Issue.record("\(text) answered")
                } catch TransportError.cannotConnect(let place, _) {
                    #expect(place == url.place.description)
                }
            }
        }
    }

    @Test func malformedHeadersAreNeverSent() async throws {
        let handler: HTTPHandler = { _ in
            HTTPResponse(status: 200, headers: ["x-a": "1\r\nx-b: 2"], body: .bytes([]))
        }
        try await withSite(http: handler) { site in
            await #expect(throws: TransportError.protocolViolation("malformed header field")) {
                try await site.client.send(
                    HTTPClientRequest(url: site.url, headers: ["a": "b\r\nc: d"]))
            }
            let answer = try await site.client.send(HTTPClientRequest(url: site.url))
            #expect(answer.status == 500)
        }
    }

    @Test func closeLetsARequestUnderWayFinish() async throws {
        let began = OneShot()
        let goOn = OneShot()
        let handler: HTTPHandler = { _ in
            began.fire()
            await goOn.wait()
            return .text("finished")
        }
        try await withSite(http: handler) { site in
            let task = Task { try await site.client.send(HTTPClientRequest(url: site.url)) }
            await began.wait()
            let closing = Task { await site.server.close() }
            try await eventually {
                do {
                    _ = try await site.client.send(HTTPClientRequest(url: site.url))
                    return false
                } catch { return true }
            }
            goOn.fire()
            #expect(try await task.value.body == Array("finished".utf8))
            await closing.value
        }
    }

    @Test func aDrainHasAnEnd() async throws {
        var limits = ServerLimits()
        limits.drainTimeout = .milliseconds(100)
        let began = OneShot()
        let handler: HTTPHandler = { _ in
            began.fire()
            try? await Task.sleep(for: .seconds(3600))
            return .text("")
        }
        try await withSite(limits: limits, http: handler) { site in
            let task = Task { try await site.client.send(HTTPClientRequest(url: site.url)) }
            await began.wait()
            await site.server.close()
            await #expect(throws: TransportError.closed) { try await task.value }
        }
    }
}
