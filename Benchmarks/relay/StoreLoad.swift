import BenchSupport
import Synchronization
import Transport

/// Messages for recipients that are not there, then their drain.
struct StoreLoad {
    struct Result {
        let confirmedPerSecond: Double
        let drainedPerSecond: Double
    }

    private static let senders = 8

    let options: BenchOptions
    let loop: EventLoop

    func run(on server: ServerProcess) async throws -> Result {
        let each = options.stored / Self.senders
        let total = each * Self.senders
        let confirmed = Count()
        let drained = Count()
        let recipients = (0..<Self.senders).map { _ in Drain(drained) }
        let senders = (0..<Self.senders).map { _ in
            MeshPeer { bytes in
                if !LoadFrames.isMessage(bytes) { confirmed.add() }
            }
        }
        for sender in senders {
            try await sender.connect(to: server.address + "/ws", on: loop)
            sender.introduce(wantsReceipts: true)
        }
        // Each is told that receipts are on.
        try await Self.wait("connects") { confirmed.value == senders.count }
        var began = ContinuousClock.now
        let frames = zip(senders, recipients).map {
            LoadFrames(from: $0.identity.did, to: $1.peer.identity.did, size: options.size)
        }
        for number in 0..<each {
            for (sender, frames) in zip(senders, frames) { sender.send(frames.message(number)) }
        }
        try await Self.wait("receipts") { confirmed.value == senders.count + total }
        let confirmedPerSecond = Double(total) / ((ContinuousClock.now - began) / .seconds(1))
        began = .now
        for recipient in recipients {
            try await recipient.peer.connect(to: server.address + "/ws", on: loop)
            recipient.peer.introduce(wantsReceipts: false)
        }
        try await Self.wait("the drain") { drained.value == total }
        let drainedPerSecond = Double(total) / ((ContinuousClock.now - began) / .seconds(1))
        for sender in senders { sender.close() }
        for recipient in recipients { recipient.peer.close() }
        return Result(confirmedPerSecond: confirmedPerSecond, drainedPerSecond: drainedPerSecond)
    }

    private final class Count: Sendable {
        private let count = Atomic<Int>(0)
        var value: Int { count.load(ordering: .relaxed) }
        func add() { count.add(1, ordering: .relaxed) }
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
        let deadline = ContinuousClock.now + .seconds(120)
        while !condition() {
            guard .now < deadline else { throw BenchError.timedOut(what) }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
