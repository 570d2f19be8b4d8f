import Foundation
import Glibc
import MeshIdentity
import TestSupport
import Testing
import Transport

@testable import Relay

/// Very many agents that only stay, at a relay in a process of its own: 20,000 with `KARS_TEST_FULL`.
struct IdleConnectionsTests {
    private static let isFull = ProcessInfo.processInfo.environment["KARS_TEST_FULL"] != nil
    /// Resident bytes that an idle connection may cost (the budget in docs/status.md).
    private static let budget = 8 << 10
    /// Connections before memory is looked at: what every relay needs once is there then.
    private static let warmUp = 200
    /// Files that either process has open besides.
    private static let otherFiles = 300

    /// As many connections as wanted, or as the limit of open files leaves room for.
    private static func possible(of wanted: Int) -> Int {
        let files = DescriptorLimit.raise()
        guard files - otherFiles < wanted else { return wanted }
        print(
            "SKIPPED: \(wanted) idle connections were NOT tested, only \(files - otherFiles): "
                + "'ulimit -Hn' is \(files), and a process needs a file for each")
        return files - otherFiles
    }

    @Test func idleConnectionsAreAllAdmittedStayAndCostLittle() async throws {
        let count = Self.possible(of: Self.isFull ? 20_000 : 1_000)
        try #require(count > 2 * Self.warmUp)
        let folder = TemporaryFolder()
        let relay = try ChildProcess(
            KillTests.kars,
            ["relay", "--listen", "127.0.0.1:0", "--data", folder.file("relay"), "--max-connections", "\(count + 10)"],
            environment: ["KARS_HOME": folder.file("home")])
        let address = try await relay.line(startingWith: "listening ws://127.0.0.1:")
        let port = try #require(Int(address))

        var sockets = try await join(Self.warmUp, port)
        defer { for socket in sockets { socket.close() } }
        let before = try resident(relay)
        sockets += try await join(count - Self.warmUp, port, besides: sockets)
        let after = try resident(relay)
        let bytes = (after - before) / (count - Self.warmUp)
        print("\(count) idle connections: \(bytes) bytes of the relay's memory each")
        #expect(bytes <= Self.budget)

        // A round of heartbeats. Each is followed by a ping: its pong comes from a connection that took the heartbeat.
        let answered = await heartbeat(sockets)
        #expect(answered == count)
        let loop = try EventLoop(name: "client")
        defer { loop.shutdown() }
        let report = try await HTTPClient(loop: loop).send(
            HTTPClientRequest(url: try ServiceURL(parsing: "http://127.0.0.1:\(port)/health")))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(report.body)) as? [String: Any])
        #expect(object["connected_agents"] as? Int == count)

        relay.signal(SIGTERM)
        for socket in sockets { socket.close() }
        sockets = []
        #expect(await relay.wait().status == 0)
    }

    /// Connects agents, so many at a time that the relay wakes up once for several; returns when the last is admitted.
    ///
    /// - Parameter others: agents that are connected already and must be heard of on a slow machine, as these.
    private func join(_ count: Int, _ port: Int, besides others: [RawWebSocket] = []) async throws -> [RawWebSocket] {
        try await RawWebSocket.blocking {
            var sockets: [RawWebSocket] = []
            var lastHeartbeat = ContinuousClock.now
            return Result {
                do {
                    while sockets.count < count {
                        if .now - lastHeartbeat > .seconds(20) {
                            lastHeartbeat = .now
                            for socket in others + sockets { socket.sendNow(opcode: 1, payload: Self.heartbeat) }
                        }
                        let first = sockets.count
                        for _ in 0..<min(100, count - first) { sockets.append(try RawWebSocket(port: port)) }
                        let batch = sockets[first...]
                        try Self.check(batch.allSatisfy { $0.readHead() })
                        try Self.check(batch.allSatisfy { $0.sendNow(opcode: 1, payload: Self.introduction()) })
                        try Self.check(batch.allSatisfy { Self.type(of: $0.readNow()) == "connected" })
                    }
                    return sockets
                } catch {
                    for socket in sockets { socket.close() }
                    throw error
                }
            }
        }.get()
    }

    private static let heartbeat = Array("{\"v\":1,\"type\":\"heartbeat\"}".utf8)

    private static func check(_ isWell: Bool) throws {
        if !isWell { throw TransportError.closed }
    }

    /// A connect frame of a new agent that is told when it was admitted.
    private static func introduction() -> [UInt8] {
        let frame = ConnectFrame.make(identity: .generate(), now: Date()).encode()
        return Array("{\"extensions\":[\"receipts\"],".utf8) + frame.dropFirst()
    }

    private static func type(of frame: RawWebSocket.Frame?) -> String? {
        frame.flatMap { $0.opcode == 1 ? ReceivedFrame(bytes: $0.payload).type : nil }
    }

    /// How many of the connections answer a ping behind a heartbeat.
    private func heartbeat(_ sockets: [RawWebSocket]) async -> Int {
        await RawWebSocket.blocking {
            for socket in sockets {
                socket.sendNow(opcode: 1, payload: Self.heartbeat)
                socket.sendNow(opcode: 9, payload: [0x3f])
            }
            return sockets.count { $0.readNow()?.opcode == 10 }
        }
    }

    private func resident(_ process: ChildProcess) throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(process.pid)/statm", encoding: .utf8)
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return try #require(pages) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
