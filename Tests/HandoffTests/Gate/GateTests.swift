import Foundation
import MeshIdentity
import MeshNode
import TestSupport
import Testing
import Transport

@testable import Handoff

@Suite(.timeLimit(.minutes(1))) struct GateTests {
    private let elsewhere = PeerIdentity(key: Identity.generate().publicKey)

    private func text(_ response: HTTPClientResponse) -> String { String(decoding: response.body, as: UTF8.self) }

    // MARK: Who may pass

    @Test func aRequestReachesTheAgentAsItWas() async throws {
        try await GateWorld.run { world async throws -> Void in
            let response = try await world.send(
                "/agents/demo/v1/chat?x=1&y=a%20b", method: "POST", body: Array("hello".utf8),
                headers: ["content-type": "text/x-test", "accept": "text/plain"])
            #expect(response.status == 200 && text(response) == "hello")
            let seen = world.stub.seen.withLock { $0[0] }
            #expect(seen.method == "POST" && seen.target == "/v1/chat?x=1&y=a%20b")
            #expect(seen.headers["content-type"] == "text/x-test" && seen.headers["accept"] == "text/plain")
            #expect(try await world.send("/agents/demo").status == 200)
            #expect(world.stub.targets.last == "/")
        }
    }

    @Test func theTokenIsWantedAndGoesNoFurther() async throws {
        try await GateWorld.run { world async throws -> Void in
            for token in [nil, "", "wrong", GateWorld.token + "x"] {
                #expect(try await world.send("/agents/demo/x", token: token).status == 401)
                #expect(try await world.send("/agents/other/x", token: token).status == 401)
            }
            #expect(try await world.send("/agents/demo/x?token=wrong", token: nil).status == 401)
            #expect(try await world.send("/agents/demo/x?token=\(GateWorld.token)", token: "wrong").status == 401)
            #expect(try await world.send("/agents/other/x").status == 401)
            #expect(world.stub.targets.isEmpty)
            for query in ["token=the-token", "a=1&token=the-token&b=2", "%74oken=the%2Dtoken&b", "b&token=the-token&token=x"] {
                #expect(try await world.send("/agents/demo/x?\(query)", token: nil).status == 200)
            }
            #expect(world.stub.targets == ["/x", "/x?a=1&b=2", "/x?b", "/x?b"])
            _ = try await world.send("/agents/demo/x")
            #expect(world.stub.seen.withLock { $0.allSatisfy { $0.headers["authorization"] == nil } })
        }
    }

    @Test func otherPathsAreNotTheGates() async throws {
        try await GateWorld.run { world async throws -> Void in
            for path in ["/", "/agents", "/agents/", "/other/demo/x"] {
                #expect(try await world.send(path).status == 404, "\(path)")
            }
        }
    }

    @Test(arguments: [
        "/v1/freeze", "/v1/thaw", "/v1/freeze/", "/v1/freeze//", "/V1/Freeze", "/v1/freeze?x=1", "//v1/freeze",
        "/v1//freeze", "/./v1/freeze", "/v1/./freeze", "/x/../v1/freeze", "/v1%2ffreeze", "/%76%31/freeze",
        "/v1/freez%65", "/v1/freeze%00", "/v1\\freeze", "/v1/freeze/.", "/..%2fv1/freeze",
    ])
    func hooksAreForTheNodeAlone(path: String) async throws {
        try await GateWorld.run { world async throws -> Void in
            for method in ["GET", "POST"] {
                // The server resolves dots and slashes itself and cuts some off; what matters is what arrives.
                let status = try? await world.send("/agents/demo\(path)", method: method).status
                #expect([nil, 400, 401, 403, 404].contains(status), "\(path) \(status ?? 0)")
                await #expect(throws: OperationFailure.self) {
                    try await world.gate.answer(
                        ForwardRequest(
                            agent: "demo", method: method, target: path, contentType: nil, accept: nil, body: []))
                }
            }
            #expect(world.stub.targets.isEmpty)
        }
    }

    @Test func aTokenThatChangesReplacesTheOldOne() async throws {
        try await GateWorld.run { world async throws -> Void in
            world.gate.open("demo", token: "new", route: .local(socket: world.stub.socket.withLock { $0 }))
            #expect(try await world.send("/agents/demo/x").status == 401)
            #expect(try await world.send("/agents/demo/x", token: "new").status == 200)
            world.gate.remove("demo")
            #expect(try await world.send("/agents/demo/x", token: "new").status == 401)
        }
    }

    // MARK: Answers

    @Test func answersOfEveryKindComeThrough() async throws {
        try await GateWorld.run { world async throws -> Void in
            world.stub.openAll()
            let nothing = try await world.send("/agents/demo/nothing")
            #expect(nothing.status == 204 && nothing.body.isEmpty)
            let missing = try await world.send("/agents/demo/missing")
            #expect(missing.status == 404 && text(missing) == "no such thing")
            let large = try await world.send("/agents/demo/large")
            #expect(large.status == 200 && large.body.count == 3 << 20)
            let stream = try await world.send("/agents/demo/stream")
            #expect(text(stream) == "first last" && stream.headers["content-type"] == "text/event-stream")
            let head = try await world.send("/agents/demo/x", method: "HEAD")
            #expect(head.status == 200 && head.body.isEmpty)
            // The gate still works, and nothing is thought to be under way.
            #expect(await world.hold())
        }
    }

    @Test func anAnswerThatBreaksOffLooksBroken() async throws {
        try await GateWorld.run { world async throws -> Void in
            await #expect(throws: TransportError.self) { try await world.send("/agents/demo/broken") }
            #expect(await world.hold())
        }
    }

    @Test func aRequestWaitsForAnAgentThatHasJustEnded() async throws {
        try await GateWorld.run { world async throws -> Void in
            let socket = world.stub.socket.withLock { $0 }
            world.route(to: .local(socket: socket + "-gone"))
            async let asked = world.send("/agents/demo/x")
            try await Task.sleep(for: .milliseconds(100))
            // Held when that is noticed, without a wait for the one that nobody heard.
            let start = ContinuousClock.now
            #expect(await world.hold())
            #expect(ContinuousClock.now - start < .seconds(5))
            try await waitUntil("it is held") { world.heldCount == 1 }
            world.route(to: .local(socket: socket))
            #expect(try await asked.status == 200)
            #expect(world.stub.targets == ["/x"])
        }
    }

    @Test func anAgentThatStaysAwayIsToldSo() async throws {
        var limits = GateLimits()
        limits.absenceTime = .milliseconds(200)
        try await GateWorld.run(limits: limits) { world async throws -> Void in
            world.route(to: .local(socket: world.stub.socket.withLock { $0 } + "-gone"))
            let gone = try await world.send("/agents/demo/x")
            #expect(gone.status == 503 && gone.headers["retry-after"] == "1")
            world.route(to: .stopped)
            let stopped = try await world.send("/agents/demo/x")
            #expect(stopped.status == 503 && stopped.headers["retry-after"] == "1")
        }
    }

    // MARK: Holding

    @Test func holdingWaitsForWhatIsUnderWay() async throws {
        try await GateWorld.run { world async throws -> Void in
            async let slow = world.send("/agents/demo/slow")
            try await waitUntil("the request is under way") { world.stub.heldCount == 1 }
            let hold = Task { await world.hold() }
            async let later = world.send("/agents/demo/later")
            try await waitUntil("the later one is held") { world.heldCount == 1 }
            world.stub.openAll()
            #expect(await hold.value)
            #expect(try await text(slow) == "slow")
            #expect(world.stub.targets == ["/slow"], "nothing passed meanwhile")
            world.release()
            #expect(try await later.status == 200)
            #expect(world.stub.targets == ["/slow", "/later"])
        }
    }

    @Test func aStreamedAnswerIsUnderWayUntilItsEnd() async throws {
        try await GateWorld.run { world async throws -> Void in
            let answer = try await world.client.stream(try world.request("/agents/demo/stream"))
            var pieces = answer.body.makeAsyncIterator()
            #expect(try await pieces.next() == Array("first".utf8))
            let hold = Task { await world.hold() }
            async let later = world.send("/agents/demo/later")
            try await waitUntil("the later one is held") { world.heldCount == 1 }
            world.stub.openAll()
            #expect(try await pieces.next() == Array(" last".utf8))
            #expect(try await pieces.next() == nil)
            #expect(await hold.value)
            world.release()
            #expect(try await later.status == 200)
        }
    }

    @Test func aClientThatLeavesAStreamLetsTheGateHold() async throws {
        try await GateWorld.run { world async throws -> Void in
            var answer: HTTPStreamingResponse? = try await world.client.stream(
                try world.request("/agents/demo/stream"))
            #expect(answer?.status == 200)
            try await waitUntil("the stream is under way") { world.stub.heldCount == 1 }
            let hold = Task { await world.hold() }
            answer = nil
            // The agent itself never ends this answer.
            #expect(await hold.value)
        }
    }

    @Test func aDrainThatTakesTooLongIsToldAndReleased() async throws {
        var limits = GateLimits()
        limits.drainTime = .milliseconds(50)
        try await GateWorld.run(limits: limits) { world async throws -> Void in
            async let slow = world.send("/agents/demo/slow")
            try await waitUntil("the request is under way") { world.stub.heldCount == 1 }
            #expect(await !world.hold())
            async let later = world.send("/agents/demo/later")
            try await waitUntil("it still holds") { world.heldCount == 1 }
            world.release()
            #expect(try await later.status == 200)
            world.stub.openAll()
            #expect(try await slow.status == 200)
        }
    }

    @Test func aClientThatGoesAwayIsHeldNoMore() async throws {
        try await GateWorld.run { world async throws -> Void in
            #expect(await world.hold())
            let waiting = Task { try await world.send("/agents/demo/x") }
            try await waitUntil("it is held") { world.heldCount == 1 }
            waiting.cancel()
            try await waitUntil("it is gone") { world.heldCount == 0 }
            world.release()
            #expect(try await world.send("/agents/demo/y").status == 200)
            #expect(world.stub.targets == ["/y"])
        }
    }

    @Test func requestsBeyondTheBoundsAreTurnedAway() async throws {
        var limits = GateLimits()
        limits.heldRequests = 2
        limits.heldBytes = 100
        try await GateWorld.run(limits: limits) { world async throws -> Void in
            #expect(await world.hold())
            async let first = world.send("/agents/demo/1", method: "POST", body: [UInt8](repeating: 0, count: 60))
            try await waitUntil("one is held") { world.heldCount == 1 }
            let tooLarge = try await world.send(
                "/agents/demo/2", method: "POST", body: [UInt8](repeating: 0, count: 41))
            #expect(tooLarge.status == 503 && tooLarge.headers["retry-after"] != nil)
            async let second = world.send("/agents/demo/3", method: "POST", body: [UInt8](repeating: 0, count: 40))
            try await waitUntil("two are held") { world.heldCount == 2 }
            #expect(try await world.send("/agents/demo/4").status == 503)
            world.release()
            #expect(try await [first.status, second.status] == [200, 200])
            // The places and the bytes are free again.
            #expect(await world.hold())
            async let third = world.send("/agents/demo/5", method: "POST", body: [UInt8](repeating: 0, count: 100))
            try await waitUntil("one is held") { world.heldCount == 1 }
            world.release()
            #expect(try await third.status == 200)
        }
    }

    @Test func aRequestIsHeldOnlySoLong() async throws {
        var limits = GateLimits()
        limits.holdTime = .milliseconds(50)
        try await GateWorld.run(limits: limits) { world async throws -> Void in
            #expect(await world.hold())
            #expect(try await world.send("/agents/demo/x").status == 503)
            #expect(world.heldCount == 0 && world.stub.targets.isEmpty)
        }
    }

    @Test func anAgentThatIsTakenAwayAnswersWhoWaits() async throws {
        try await GateWorld.run { world async throws -> Void in
            #expect(await world.hold())
            async let waiting = world.send("/agents/demo/x")
            try await waitUntil("it is held") { world.heldCount == 1 }
            world.gate.remove("demo")
            #expect(try await waiting.status == 503)
        }
    }

    // MARK: Forwarding

    @Test func requestsOfAnAgentThatMovedGoOn() async throws {
        try await GateWorld.run { world async throws -> Void in
            #expect(await world.hold())
            async let held = world.send(
                "/agents/demo/v1/chat?token=x&a=1", method: "POST", body: [1, 2, 3],
                headers: ["content-type": "text/x", "accept": "*/*"])
            try await waitUntil("it is held") { world.heldCount == 1 }
            world.route(to: .forward(elsewhere))
            let response = try await held
            #expect(response.status == 200 && text(response) == "from afar")
            #expect(response.headers["content-type"] == "text/plain")
            let request = world.forwarded.requests.withLock { $0[0] }
            #expect(request.agent == "demo" && request.method == "POST" && request.target == "/v1/chat?a=1")
            #expect(request.contentType == "text/x" && request.accept == "*/*" && request.body.bytes == [1, 2, 3])
            #expect(world.stub.targets.isEmpty)
            world.forwarded.answer.withLock { answer in
                answer = { _ in throw OperationFailure(.unavailable, "nobody there") }
            }
            #expect(try await world.send("/agents/demo/x").status == 502)
        }
    }

    @Test func whatNoMeshFrameCarriesIsNotSentOn() async throws {
        try await GateWorld.run { world async throws -> Void in
            let body = [UInt8](repeating: 0, count: GateLimits().forwardedBytes + 1)
            let large = ForwardRequest(
                agent: "demo", method: "GET", target: "/large", contentType: nil, accept: nil, body: [])
            #expect(try await world.gate.answer(large).status == 502)
            world.route(to: .forward(elsewhere))
            #expect(try await world.send("/agents/demo/x", method: "POST", body: body).status == 413)
            #expect(world.forwarded.requests.withLock { $0.isEmpty })
            #expect(await world.hold())
        }
    }

    @Test func aForwardedRequestIsAnsweredLikeAnother() async throws {
        try await GateWorld.run { world async throws -> Void in
            let answer = try await world.gate.answer(
                ForwardRequest(
                    agent: "demo", method: "POST", target: "/v1/chat?a=1", contentType: "text/x", accept: "*/*",
                    body: [7]))
            #expect(answer.status == 200 && answer.body.bytes == [7] && answer.contentType == "text/plain")
            let seen = world.stub.seen.withLock { $0[0] }
            #expect(seen.target == "/v1/chat?a=1" && seen.headers["content-type"] == "text/x")
            let unknown = await #expect(throws: OperationFailure.self) {
                try await world.gate.answer(
                    ForwardRequest(
                        agent: "other", method: "GET", target: "/", contentType: nil, accept: nil, body: []))
            }
            #expect(unknown?.code == .notFound)
            // Held here as well.
            #expect(await world.hold())
            async let held = world.gate.answer(
                ForwardRequest(
                    agent: "demo", method: "GET", target: "/held", contentType: nil, accept: nil, body: []))
            try await waitUntil("it is held") { world.heldCount == 1 }
            world.release()
            #expect(try await held.status == 200)
        }
    }

    @Test func aForwardedRequestCannotHideAnother() async throws {
        try await GateWorld.run { world async throws -> Void in
            for target in [
                "/x HTTP/1.1\r\nhost: a\r\n\r\nPOST /v1/freeze", "/x\n", "/x y", "/x#y", "x", "", "/\u{e9}",
                "/x?\r\n", "/v1/freeze;x", "/" + String(repeating: "x", count: 9_000),
            ] {
                await #expect(throws: OperationFailure.self) {
                    try await world.gate.answer(
                        ForwardRequest(
                            agent: "demo", method: "GET", target: target, contentType: nil, accept: nil, body: []))
                }
            }
            for (method, type) in [("GET /v1/freeze HTTP/1.1\r\n\r\nGET", nil), ("GET", "a\r\nx: y")] {
                let answer = try await world.gate.answer(
                    ForwardRequest(
                        agent: "demo", method: method, target: "/x", contentType: type, accept: nil, body: []))
                #expect(answer.status == 502)
            }
            #expect(world.stub.targets.isEmpty)
        }
    }

    @Test func gatesThatNameEachOtherGiveUp() async throws {
        try await GateWorld.run { world async throws -> Void in
            world.route(to: .forward(elsewhere))
            var hops: [Int?] = []
            var request = ForwardRequest(
                agent: "demo", method: "GET", target: "/", contentType: nil, accept: nil, body: [])
            while (try? await world.gate.answer(request)) != nil, hops.count < 20 {
                request = world.forwarded.requests.withLock { $0.last! }
                hops.append(request.hops)
            }
            #expect(hops == [2, 3, 4])
        }
    }

    // MARK: Names of requests that are sent on

    @Test func aRequestThatIsSentOnHasANameOfItsOwnThatTheAgentSees() async throws {
        try await GateWorld.run { world async throws -> Void in
            world.route(to: .forward(elsewhere))
            for _ in 1...2 {
                #expect(try await world.send("/agents/demo/v1/chat", method: "POST", body: [0x61]).status == 200)
            }
            // What a client says in the gate's place is not passed on.
            #expect(
                try await world.send("/agents/demo/x", headers: ["Kars-Request-ID": "chosen"]).status == 200)
            let names = world.forwarded.requests.withLock { $0.compactMap(\.requestID) }
            #expect(Set(names).count == 3 && !names.contains("chosen"))

            // The next gate names it as the first did, to its agent and to further gates.
            let sent = try #require(world.forwarded.requests.withLock { $0.first })
            _ = try await world.gate.answer(sent)
            #expect(world.forwarded.requests.withLock { $0.last?.requestID } == names[0])
            world.release()
            for _ in 1...2 { _ = try await world.gate.answer(sent) }
            _ = try await world.send("/agents/demo/x", headers: ["Kars-Request-ID": "chosen"])
            let seen = world.stub.seen.withLock { $0.map { $0.headers["kars-request-id"] } }
            #expect(seen == [names[0], names[0], nil])
        }
    }

    @Test(arguments: ["", "a b", "a\r\nx: y", "ü", "a\0", String(repeating: "a", count: 65)])
    func aNameThatIsNoneIsRefused(_ name: String) async throws {
        try await GateWorld.run { world async throws -> Void in
            let request = ForwardRequest(
                agent: "demo", method: "GET", target: "/x", contentType: nil, accept: nil, body: [], requestID: name)
            await #expect(throws: OperationFailure.self) { try await world.gate.answer(request) }
            #expect(world.stub.targets.isEmpty)
        }
    }
}
