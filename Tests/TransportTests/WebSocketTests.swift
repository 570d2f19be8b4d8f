import Foundation
import Synchronization
import Testing

@testable import Transport

@Suite struct WebSocketTests {
    @Test(arguments: Carrier.allCases)
    func anEchoReturnsTextAndBinaryOfEverySize(carrier: Carrier) async throws {
        try await withSite(carrier, webSocket: { _ in Echo() }) { site in
            let recorder = Recorder()
            let socket = try await WebSocketClient.connect(
                to: site.url.webSocket, on: site.loop, delegate: recorder)
            let sizes = [0, 1, 125, 126, 127, 4096, 16_384, 65_535, 65_536, 1 << 20]
            var expected: [Recorder.Message] = []
            for size in sizes {
                for isText in [true, false] {
                    let bytes = isText ? [UInt8](repeating: 0x61, count: size) : pattern(size)
                    expected.append(.init(bytes: bytes, isText: isText))
                    socket.send(bytes, isText: isText)
                }
            }
            try await eventually { recorder.messageCount == expected.count }
            #expect(recorder.messages == expected)
            socket.close(code: 1000)
            try await eventually { recorder.closes == [1000] }
        }
    }

    @Test(arguments: Carrier.allCases)
    func aPongTellsThatAllBeforeThePingHasArrived(carrier: Carrier) async throws {
        let server = Recorder()
        try await withSite(carrier, webSocket: { _ in server }) { site in
            let recorder = Recorder()
            let socket = try await WebSocketClient.connect(
                to: site.url.webSocket, on: site.loop, delegate: recorder)
            for number in 0..<500 { socket.send(Array("\(number)".utf8)) }
            socket.ping()
            try await eventually { recorder.pongs == [0] }
            #expect(server.messageCount == 500)
            // And the other way round, from the server.
            try #require(server.socket).ping()
            try await eventually { server.pongs == [500] }
            socket.close(code: 1000)
            try await eventually { recorder.closes == [1000] }
        }
    }

    @Test func orderIsKeptAcrossManyMessages() async throws {
        try await withSite(webSocket: { _ in Echo() }) { site in
            let recorder = Recorder()
            let socket = try await WebSocketClient.connect(
                to: site.url.webSocket, on: site.loop, delegate: recorder)
            for number in 0..<20_000 { socket.send(Array("\(number)".utf8)) }
            try await eventually { recorder.messageCount == 20_000 }
            #expect(recorder.messages.map { String(decoding: $0.bytes, as: UTF8.self) } == (0..<20_000).map { "\($0)" })
            #expect(recorder.drains > 0)
            #expect(socket.queuedBytes == 0)
        }
    }

    @Test(arguments: Carrier.allCases)
    func theAcceptorSeesTheHandshakeAndMayRefuse(carrier: Carrier) async throws {
        let acceptor: WebSocketAcceptor = { upgrade in
            #expect(upgrade.queryValue("token") == "t&1")
            #expect(upgrade.headers["authorization"] == "Bearer x")
            return upgrade.path == "/ws" ? Recorder() : nil
        }
        try await withSite(carrier, webSocket: acceptor) { site in
            func connect(_ path: String) async throws -> WebSocket {
                try await WebSocketClient.connect(
                    to: site.url.webSocket.appending(path: path), on: site.loop,
                    headers: ["authorization": "Bearer x"], delegate: Recorder())
            }
            _ = try await connect("/ws?token=t%261")
            await #expect(throws: TransportError.refused(status: 404)) {
                _ = try await connect("/other?token=t%261")
            }
        }
    }

    @Test func aServerWithoutWebSocketsRefuses() async throws {
        try await withSite { site in
            await #expect(throws: TransportError.refused(status: 404)) {
                _ = try await WebSocketClient.connect(
                    to: site.url.webSocket, on: site.loop, delegate: Recorder())
            }
        }
    }

    @Test func closeCodesAndReasonsPassBothWays() async throws {
        let serverSide = Recorder()
        try await withSite(webSocket: { _ in serverSide }) { site in
            let first = Recorder()
            let socket = try await WebSocketClient.connect(
                to: site.url.webSocket, on: site.loop, delegate: first)
            socket.send([1])
            socket.close(code: 4001, reason: "client says so")
            try await eventually { serverSide.closes == [4001] && first.closes == [4001] }
            #expect(serverSide.reasons == ["client says so"])
            #expect(serverSide.messageCount == 1)

            let second = Recorder()
            _ = try await WebSocketClient.connect(
                to: site.url.webSocket, on: site.loop, delegate: second)
            try await eventually { serverSide.opens == 2 }
            serverSide.socket?.send([7, 8], isText: false)
            serverSide.socket?.close(code: 4409, reason: "replaced")
            serverSide.socket?.send([9])
            try await eventually { second.closes == [4409] && serverSide.closes == [4001, 4409] }
            #expect(second.reasons == ["replaced"])
            #expect(second.messages == [.init(bytes: [7, 8], isText: false)])
        }
    }

    @Test(arguments: [1001, 70_000])
    func aMessageAboveTheLimitClosesWith1009(size: Int) async throws {
        var limits = ServerLimits()
        limits.maximumMessageBytes = size - 1
        let serverSide = Recorder()
        try await withSite(limits: limits, webSocket: { _ in serverSide }) { site in
            let recorder = Recorder()
            let socket = try await WebSocketClient.connect(
                to: site.url.webSocket, on: site.loop, delegate: recorder)
            socket.send(pattern(size - 1), isText: false)
            try await eventually { serverSide.messageCount == 1 }
            socket.send(pattern(size), isText: false)
            try await eventually { recorder.closes == [1009] }
            try await eventually { serverSide.closes == [1009] }
            #expect(serverSide.messageCount == 1)
        }
    }

    @Test func aFullQueueClosesWith1013() async throws {
        var limits = ServerLimits()
        limits.maximumQueuedBytes = 100_000
        let serverSide = Recorder()
        try await withSite(limits: limits, webSocket: { _ in serverSide }) { site in
            let recorder = Recorder()
            let socket = try await WebSocketClient.connect(
                to: site.url.webSocket, on: site.loop, delegate: recorder)
            try await eventually { serverSide.opens == 1 }
            socket.pauseReading()
            let peer = try #require(serverSide.socket)
            try await eventually {
                peer.send(pattern(20_000), isText: false)
                return peer.queuedBytes == 0 && serverSide.closes.isEmpty == false || peer.queuedBytes > 70_000
            }
            for _ in 0..<10 { peer.send(pattern(20_000), isText: false) }
            #expect(peer.queuedBytes == 0)
            socket.resumeReading()
            try await eventually { recorder.closes == [1013] }
        }
    }

    @Test func twoHundredSocketsEchoAtOnce() async throws {
        try await withSite(webSocket: { _ in Echo() }) { site in
            let recorders = (0..<200).map { _ in Recorder() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, recorder) in recorders.enumerated() {
                    group.addTask {
                        let socket = try await WebSocketClient.connect(
                            to: site.url.webSocket, on: site.loop, delegate: recorder)
                        for round in 0..<20 { socket.send(Array("\(number)-\(round)".utf8)) }
                    }
                }
                try await group.waitForAll()
            }
            try await eventually { recorders.allSatisfy { $0.messageCount == 20 } }
            for (number, recorder) in recorders.enumerated() {
                #expect(recorder.messages.last?.bytes == Array("\(number)-19".utf8))
            }
        }
    }

    @Test func closingAServerTellsItsSockets1012() async throws {
        let serverSide = Recorder()
        let recorder = Recorder()
        try await withSite(webSocket: { _ in serverSide }) { site in
            _ = try await WebSocketClient.connect(
                to: site.url.webSocket, on: site.loop, delegate: recorder)
            try await eventually { serverSide.opens == 1 }
            serverSide.socket?.send(pattern(300_000), isText: false)
            await site.server.close()
            #expect(serverSide.closes == [1012])
            try await eventually { recorder.closes == [1012] }
            #expect(recorder.messageCount == 1)
            #expect(recorder.reasons == ["service restart: going away"])
        }
    }

    @Test func aBrokenConnectionIs1006OnTheOtherSide() async throws {
        let serverSide = Recorder()
        try await withSite(webSocket: { _ in serverSide }) { site in
            let other = try EventLoop(name: "other")
            let recorder = Recorder()
            _ = try await WebSocketClient.connect(to: site.url.webSocket, on: other, delegate: recorder)
            try await eventually { serverSide.opens == 1 }
            other.shutdown()
            #expect(recorder.closes == [1006])
            try await eventually { serverSide.closes == [1006] }
        }
    }

    @Test func pausedReadingHoldsMessagesBack() async throws {
        let serverSide = Recorder(onOpen: { $0.pauseReading() })
        try await withSite(webSocket: { _ in serverSide }) { site in
            let socket = try await WebSocketClient.connect(
                to: site.url.webSocket, on: site.loop, delegate: Recorder())
            for _ in 0..<100 { socket.send(pattern(1000), isText: false) }
            try await eventually { socket.queuedBytes == 0 && serverSide.opens == 1 }
            #expect(serverSide.messageCount == 0)
            serverSide.socket?.resumeReading()
            try await eventually { serverSide.messageCount == 100 }
        }
    }

    @Test func aCancelledConnectEnds() async throws {
        // A listener that never answers the handshake.
        try await withFolder { folder in
            let listening = try ListeningSocket.open(.unix(path: folder + "/mute"))
            defer {
                close(listening.descriptor)
                listening.removeFile()
            }
            try await withLoop { loop in
                let url = ServiceURL(unixSocket: folder + "/mute", scheme: .ws)
                let task = Task {
                    try await WebSocketClient.connect(to: url, on: loop, delegate: Recorder())
                }
                task.cancel()
                await #expect(throws: TransportError.closed) { _ = try await task.value }
                await #expect(throws: TransportError.timedOut("connection to \(url.place)")) {
                    _ = try await WebSocketClient.connect(
                        to: url, on: loop, timeout: .milliseconds(100), delegate: Recorder())
                }
            }
        }
    }
}
