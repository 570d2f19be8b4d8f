import Foundation
import Synchronization
import TestSupport
import Transport

/// Stands between peers and a real relay, and does to their frames what a hostile one could: it loses, doubles, holds
/// back, reorders, changes and repeats them, in both directions, and keeps all it saw.
final class HostileRelay: Sendable {
    struct Deeds: Equatable {
        var lost = 0, doubled = 0, delayed = 0, changed = 0, repeated = 0
    }

    /// Of a hundred frames.
    private static let share = (lost: 4, doubled: 5, delayed: 12, changed: 4, repeated: 4)
    private static let pause = Duration.milliseconds(15)

    private let server: Server
    let url: ServiceURL
    private let state: State

    final class State: Sendable {
        let random: Mutex<SeededRandom>
        let deeds = Mutex(Deeds())
        let seen = Mutex<[[UInt8]]>([])
        let target: ServiceURL
        let loop: EventLoop

        init(seed: UInt64, target: ServiceURL, loop: EventLoop) {
            random = Mutex(SeededRandom(seed: seed))
            self.target = target
            self.loop = loop
        }

        /// What becomes of a frame, each part now or a little later.
        func deal(_ frame: [UInt8]) -> (now: [[UInt8]], later: [[UInt8]]) {
            let earlier = seen.withLock { $0 }
            seen.withLock { $0.append(frame) }
            let text = String(decoding: frame, as: UTF8.self)
            // Who may connect at all is the relay's own business.
            guard !text.contains("\"connect\""), !text.contains("\"connected\"") else { return ([frame], []) }
            let (share, number) = (Self.limits, random.withLock { Int.random(in: 0..<100, using: &$0) })
            return deeds.withLock { deeds in
                switch number {
                case ..<share[0]:
                    deeds.lost += 1
                    return ([], [])
                case ..<share[1]:
                    deeds.doubled += 1
                    return ([frame, frame], [])
                case ..<share[2]:
                    deeds.delayed += 1
                    return ([], [frame])
                case ..<share[3]:
                    deeds.changed += 1
                    return ([changed(frame)], [])
                case ..<share[4] where !earlier.isEmpty:
                    deeds.repeated += 1
                    return ([frame, earlier[random.withLock { Int.random(in: 0..<earlier.count, using: &$0) }]], [])
                default: return ([frame], [])
                }
            }
        }

        private static let limits: [Int] = {
            let share = HostileRelay.share
            return [share.lost, share.doubled, share.delayed, share.changed, share.repeated].reduce(into: []) {
                $0.append(($0.last ?? 0) + $1)
            }
        }()

        /// A letter or digit somewhere becomes another one, so that it stays a frame more often than not.
        private func changed(_ frame: [UInt8]) -> [UInt8] {
            var frame = frame
            random.withLock { random in
                let place = Int.random(in: 0..<frame.count, using: &random)
                if (0x30...0x7A).contains(frame[place]) { frame[place] = frame[place] == 0x41 ? 0x42 : 0x41 }
            }
            return frame
        }
    }

    init(before target: ServiceURL, loop: EventLoop, seed: UInt64) async throws {
        let state = State(seed: seed, target: target, loop: loop)
        self.state = state
        var limits = ServerLimits()
        limits.maximumMessageBytes = 16 << 20
        server = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), tls: nil, limits: limits,
            http: { _ in .text("", status: 404) }, webSocket: { _ in Line(state) })
        url = try ServiceURL(parsing: "ws://\(server.endpoint)/ws")
    }

    var deeds: Deeds { state.deeds.withLock { $0 } }
    var seen: [[UInt8]] { state.seen.withLock { $0 } }

    func close() async { await server.close() }

    /// One connection of a peer, and its own to the real relay.
    private final class Line: WebSocketDelegate {
        private let state: State
        private let ends = Mutex<(peer: WebSocket?, relay: WebSocket?, waiting: [[UInt8]])>((nil, nil, []))

        init(_ state: State) { self.state = state }

        func webSocketDidOpen(_ socket: WebSocket) {
            ends.withLock { $0.peer = socket }
            let other = Other(self)
            var limits = ServerLimits()
            limits.maximumMessageBytes = 16 << 20
            Task { [state, limits] in
                do {
                    _ = try await WebSocketClient.connect(
                        to: state.target, on: state.loop, tls: ClientTLS(), limits: limits, delegate: other)
                } catch { socket.close(code: 1012) }
            }
        }

        func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
            pass(state.deal(Array(message))) { ends, frame in
                if let relay = ends.relay { relay.send(frame) } else { ends.waiting.append(frame) }
            }
        }

        func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
            ends.withLock { $0.relay }?.close(code: 1000)
        }

        private typealias Ends = (peer: WebSocket?, relay: WebSocket?, waiting: [[UInt8]])

        private func pass(
            _ dealt: (now: [[UInt8]], later: [[UInt8]]), _ send: @escaping @Sendable (inout Ends, [UInt8]) -> Void
        ) {
            for frame in dealt.now { ends.withLock { send(&$0, frame) } }
            guard !dealt.later.isEmpty else { return }
            _ = state.loop.schedule(after: HostileRelay.pause) { [self] in
                for frame in dealt.later { ends.withLock { send(&$0, frame) } }
            }
        }

        private final class Other: WebSocketDelegate {
            private let line: Line

            init(_ line: Line) { self.line = line }

            func webSocketDidOpen(_ socket: WebSocket) {
                line.ends.withLock { ends in
                    ends.relay = socket
                    for frame in ends.waiting { socket.send(frame) }
                    ends.waiting = []
                }
            }

            func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
                line.pass(line.state.deal(Array(message))) { ends, frame in ends.peer?.send(frame) }
            }

            func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
                line.ends.withLock { $0.peer }?.close(code: code == 1006 ? 1012 : code)
            }
        }
    }
}
