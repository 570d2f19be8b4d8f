import Foundation
import Synchronization
import Testing

@testable import Transport

@Suite struct EventLoopTests {
    @Test func tasksRunInOrderOnTheLoopsThread() async throws {
        try await withLoop { loop in
            let seen = Mutex<[Int]>([])
            #expect(!loop.isOnLoop)
            for number in 0..<10_000 {
                loop.execute {
                    loop.preconditionOnLoop()
                    seen.withLock { $0.append(number) }
                }
            }
            try await loop.perform { () throws(TransportError) in }
            #expect(seen.withLock { $0 } == Array(0..<10_000))
        }
    }

    @Test func tasksGivenByTasksRun() async throws {
        try await withLoop { loop in
            let done = OneShot()
            @Sendable func step(_ left: Int) {
                if left == 0 { done.fire() } else { loop.execute { step(left - 1) } }
            }
            loop.execute { step(1000) }
            await done.wait()
        }
    }

    @Test func scheduledTasksRunInOrderOfTheirDelays() async throws {
        try await withLoop { loop in
            let seen = Mutex<[Int]>([])
            let done = OneShot()
            for delay in [60, 20, 40, 0, 80] {
                loop.schedule(after: .milliseconds(delay)) { seen.withLock { $0.append(delay) } }
            }
            let cancelled = loop.schedule(after: .milliseconds(10)) { seen.withLock { $0.append(-1) } }
            cancelled.cancel()
            loop.schedule(after: .milliseconds(100)) { done.fire() }
            await done.wait()
            #expect(seen.withLock { $0 } == [0, 20, 40, 60, 80])
        }
    }

    @Test func shutdownRunsWhatWasGivenAndDropsTheRest() throws {
        let tally = Tally()
        let loop = try EventLoop(name: "short")
        for _ in 0..<100 { loop.execute { tally.add() } }
        loop.shutdown()
        loop.shutdown()
        #expect(tally.count == 100)
        #expect(!loop.tryExecute { tally.add() })
        #expect(tally.count == 100)
    }

    @Test func afterShutdownEverythingAsynchronousEnds() async throws {
        let loop = try EventLoop(name: "ended")
        loop.shutdown()
        let url = try ServiceURL(parsing: "http://127.0.0.1:1/")
        await #expect(throws: TransportError.closed) {
            _ = try await HTTPClient(loop: loop).send(HTTPClientRequest(url: url))
        }
        await #expect(throws: TransportError.closed) {
            _ = try await WebSocketClient.connect(to: url, on: loop, delegate: Recorder())
        }
        await #expect(throws: TransportError.closed) {
            _ = try await Server(loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { _ in .text("") })
        }
    }

    @Test func aServerSpreadsOverItsLoops() async throws {
        let loops = try (0..<3).map { try EventLoop(name: "loop\($0)") }
        let recorders = Mutex<[Recorder]>([])
        let server = try await Server(
            loops: loops, endpoint: .tcp(host: "127.0.0.1", port: 0), http: { .bytes($0.body) },
            webSocket: { _ in
                let recorder = Recorder()
                recorders.withLock { $0.append(recorder) }
                return recorder
            })
        for number in 0..<9 {
            let socket = try await WebSocketClient.connect(
                to: server.endpoint.serviceURL.webSocket, on: loops[number % 2], delegate: Recorder())
            socket.send([UInt8(number)])
        }
        try await eventually { recorders.withLock { $0.allSatisfy { $0.messageCount == 1 } } }
        let served = recorders.withLock { $0.compactMap { $0.socket?.loop.name } }
        #expect(served.count == 9)
        #expect(Set(served).count == 3)
        await server.close()
        for loop in loops { loop.shutdown() }
    }

    @Test func twoServersCannotShareAPlaceAndADeadSocketFileIsReplaced() async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                for endpoint in [Endpoint.tcp(host: "127.0.0.1", port: 0), .unix(path: folder + "/s")] {
                    let first = try await Server(loops: [loop], endpoint: endpoint, http: { _ in .text("1") })
                    await #expect(throws: TransportError.cannotListen("\(first.endpoint)", "Address already in use")) {
                        _ = try await Server(loops: [loop], endpoint: first.endpoint, http: { _ in .text("2") })
                    }
                    await first.close()
                    await first.close()
                }
                #expect(!FileManager.default.fileExists(atPath: folder + "/s"))
                let left = try ListeningSocket.open(.unix(path: folder + "/s"))
                Glibc.close(left.descriptor)
                let second = try await Server(
                    loops: [loop], endpoint: .unix(path: folder + "/s"), http: { _ in .text("3") })
                let mode = try FileManager.default.attributesOfItem(atPath: folder + "/s")[.posixPermissions]
                #expect(mode as? Int == 0o600)
                await second.close()
            }
        }
    }
}
