import BenchSupport
import CSodium
import Foundation
import MeshIdentity
import Synchronization
import Transport

/// What a stream between peers cannot be faster than; each in bytes a second.
enum Limits {
    /// libsodium's secretstream over pieces of a stream's size, sealed and opened on one core, as a program that does
    /// nothing else would.
    static func secretstream(piece: Int, total: Int) -> Double {
        var key = [UInt8](repeating: 1, count: 32)
        crypto_secretstream_xchacha20poly1305_keygen(&key)
        var (sender, receiver) = (crypto_secretstream_xchacha20poly1305_state(), crypto_secretstream_xchacha20poly1305_state())
        var header = [UInt8](repeating: 0, count: 24)
        crypto_secretstream_xchacha20poly1305_init_push(&sender, &header, key)
        crypto_secretstream_xchacha20poly1305_init_pull(&receiver, header, key)
        let text = [UInt8](repeating: 7, count: piece)
        var (sealed, opened) = ([UInt8](repeating: 0, count: piece + 17), [UInt8](repeating: 0, count: piece))
        let began = ContinuousClock.now
        for _ in 0..<(total / piece) {
            crypto_secretstream_xchacha20poly1305_push(&sender, &sealed, nil, text, UInt64(piece), nil, 0, 0)
            let isOpen = crypto_secretstream_xchacha20poly1305_pull(
                &receiver, &opened, nil, nil, sealed, UInt64(sealed.count), nil, 0)
            precondition(isOpen == 0)
        }
        return rate(total, since: began)
    }

    /// Bytes written to a TCP socket of this machine and read at its other end, as nc does.
    static func plainCopy(total: Int) throws -> Double {
        let (out, into) = try loopbackPair()
        defer {
            close(out)
            close(into)
        }
        let began = ContinuousClock.now
        let writer = Thread {
            let chunk = [UInt8](repeating: 7, count: 64 << 10)
            var rest = total
            while rest > 0 {
                let count = write(out, chunk, min(rest, chunk.count))
                guard count > 0 else { return }
                rest -= count
            }
        }
        writer.start()
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        var got = 0
        while got < total {
            let count = read(into, &chunk, chunk.count)
            guard count > 0 else { throw BenchError.badAnswer("the loopback broke") }
            got += count
        }
        return rate(total, since: began)
    }

    private static func loopbackPair() throws -> (Int32, Int32) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        let out = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let isConnected = withUnsafePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(out, $0, size) == 0 }
        }
        guard isBound, isConnected else { throw BenchError.timedOut("the loopback") }
        return (out, accept(listener, nil, nil))
    }

    /// Frames as large as those of a stream through the relay, neither sealed nor kept by their ends; the content that
    /// they could carry counts.
    static func relay(_ address: String, piece: Int, total: Int, loop: EventLoop) async throws -> Double {
        let copy = RelayCopy(piece: piece, count: total / piece)
        for peer in [copy.sender!, copy.receiver!] {
            try await peer.connect(to: address, on: loop)
            peer.introduce(wantsReceipts: false)
        }
        defer {
            copy.sender.close()
            copy.receiver.close()
        }
        // Both are known before the first frame.
        try await Task.sleep(for: .milliseconds(500))
        let began = ContinuousClock.now
        loop.execute { copy.start() }
        while !copy.isOver.withLock({ $0 }) {
            guard ContinuousClock.now - began < .seconds(120) else { throw BenchError.timedOut("frames") }
            try await Task.sleep(for: .milliseconds(1))
        }
        return rate(total, since: began)
    }

    static func rate(_ bytes: Int, since began: ContinuousClock.Instant) -> Double {
        Double(bytes) / ((ContinuousClock.now - began) / .seconds(1))
    }
}

/// Frames of one client for another, a stream's window of them under way.
// @unchecked Sendable: its counters are touched on the one loop of the clients alone.
private final class RelayCopy: @unchecked Sendable {
    private let frames: LoadFrames
    private let count: Int
    private let window: Int
    private var sent = 0
    private var received = 0
    private(set) var sender: MeshPeer!
    private(set) var receiver: MeshPeer!
    let isOver = Mutex(false)

    init(piece: Int, count: Int) {
        self.count = count
        window = max(1, (1 << 20) / piece)
        let (one, other) = (Identity.generate(), Identity.generate())
        // As long as the sealed piece in a frame of a session.
        frames = LoadFrames(from: one.did, to: other.did, size: (piece + 70) / 3 * 4)
        sender = MeshPeer(identity: one) { _ in }
        receiver = MeshPeer(identity: other) { [unowned self] in if LoadFrames.isMessage($0) { didReceive() } }
    }

    func start() { for _ in 0..<window { sendNext() } }

    private func sendNext() {
        guard sent < count else { return }
        sender.send(frames.message(sent))
        sent += 1
    }

    private func didReceive() {
        receiver.send(LoadFrames.ack(received))
        received += 1
        if received == count { isOver.withLock { $0 = true } }
        sendNext()
    }
}
