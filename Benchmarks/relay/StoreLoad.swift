import BenchSupport
import MeshIdentity
import Synchronization
import Transport

/// Messages for recipients that are not there, then their drain.
struct StoreLoad {
    struct Result {
        let confirmedPerSecond: Double
        let drainedPerSecond: Double
        /// Most resident bytes of the server while it drains.
        let residentBytes: Int
    }

    /// Senders, each with a recipient of its own, at least; more when an inbox would become too full.
    private static let senders = 8
    /// Messages of one sender.
    private static let inbox = 5_000
    /// Messages of one sender that wait for their receipts.
    private static let window = 1_000

    let options: BenchOptions
    let loop: EventLoop

    func run(on server: ServerProcess) async throws -> Result {
        let lanes = max(Self.senders, (options.stored + Self.inbox - 1) / Self.inbox)
        let each = options.stored / lanes
        let total = each * lanes
        let confirmed = Count()
        let drained = Count()
        let recipients = (0..<lanes).map { _ in Drain(drained) }
        let senders = recipients.map { Sender(each, to: $0.peer.identity.did, size: options.size, confirmed) }
        for sender in senders {
            try await sender.peer.connect(to: server.address + "/ws", on: loop)
            sender.peer.introduce(wantsReceipts: true)
        }
        // Each is told that receipts are on.
        try await Self.wait("connects") { confirmed.value == lanes }
        var began = ContinuousClock.now
        for sender in senders { loop.execute { sender.start() } }
        try await Self.wait("receipts") { confirmed.value == lanes + total }
        let confirmedPerSecond = Double(total) / ((ContinuousClock.now - began) / .seconds(1))
        began = .now
        for recipient in recipients {
            try await recipient.peer.connect(to: server.address + "/ws", on: loop)
            recipient.peer.introduce(wantsReceipts: false)
        }
        var resident = 0
        try await Self.wait("the drain") {
            resident = max(resident, server.residentBytes)
            return drained.value == total
        }
        let drainedPerSecond = Double(total) / ((ContinuousClock.now - began) / .seconds(1))
        for sender in senders { sender.peer.close() }
        for recipient in recipients { recipient.peer.close() }
        return Result(
            confirmedPerSecond: confirmedPerSecond, drainedPerSecond: drainedPerSecond, residentBytes: resident)
    }

    private final class Count: Sendable {
        private let count = Atomic<Int>(0)
        var value: Int { count.load(ordering: .relaxed) }
        func add() { count.add(1, ordering: .relaxed) }
    }

    /// Sends a number of messages, the next when one was confirmed.
    // @unchecked Sendable: `sent` is touched on the one loop of the clients alone.
    private final class Sender: @unchecked Sendable {
        private(set) var peer: MeshPeer!
        private let frames: LoadFrames
        private let total: Int
        private var sent = 0

        init(_ total: Int, to recipient: DID, size: Int, _ confirmed: Count) {
            let identity = Identity.generate()
            frames = LoadFrames(from: identity.did, to: recipient, size: size)
            self.total = total
            peer = MeshPeer(identity: identity) { [unowned self] bytes in
                guard !LoadFrames.isMessage(bytes) else { return }
                confirmed.add()
                if sent > 0 { sendNext() }
            }
        }

        func start() { for _ in 0..<StoreLoad.window { sendNext() } }

        private func sendNext() {
            guard sent < total else { return }
            peer.send(frames.message(sent))
            sent += 1
        }
    }

    /// A recipient that acks what it gets; ids come in order.
    // @unchecked Sendable: `received` is touched on the one loop of the clients alone.
    private final class Drain: @unchecked Sendable {
        private(set) var peer: MeshPeer!
        private var received = 0

        init(_ count: Count) {
            peer = MeshPeer { [unowned self] bytes in
                guard LoadFrames.isMessage(bytes) else { return }
                peer.send(LoadFrames.ack(received))
                received += 1
                count.add()
            }
        }
    }

    private static func wait(_ what: String, _ condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(300)
        while !condition() {
            guard .now < deadline else { throw BenchError.timedOut(what) }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
