import BenchSupport
import Synchronization
import Transport

/// Pairs of clients, each with a fixed number of messages under way; every message is acked.
struct PairLoad {
    struct Result {
        let perSecond: Double
        /// Of the server, in microseconds.
        let processorTimePerMessage: Double
        let median: Double
        let p99: Double
    }

    /// One sender and one receiver.
    // @unchecked Sendable: its counters are touched on the one loop of the clients alone.
    private final class Pair: @unchecked Sendable {
        private var sent = 0
        private var received = 0
        private var times: [ContinuousClock.Instant]
        private let meter: Meter
        private var frames: LoadFrames?
        private(set) var sender: MeshPeer!
        private(set) var receiver: MeshPeer!
        var isOver = false

        init(window: Int, size: Int, meter: Meter) {
            times = Array(repeating: .now, count: window)
            self.meter = meter
            sender = MeshPeer { _ in }
            receiver = MeshPeer { [unowned self] bytes in
                if LoadFrames.isMessage(bytes) { didReceive() }
            }
            frames = LoadFrames(from: sender.identity.did, to: receiver.identity.did, size: size)
        }

        func start() { for _ in times { sendNext() } }

        private func sendNext() {
            guard !isOver, let frames else { return }
            times[sent % times.count] = .now
            sender.send(frames.message(sent))
            sent += 1
        }

        private func didReceive() {
            meter.record(.now - times[received % times.count])
            receiver.send(LoadFrames.ack(received))
            received += 1
            sendNext()
        }
    }

    let options: BenchOptions
    let loop: EventLoop

    func run(pairs count: Int, on server: ServerProcess, isRelay: Bool) async throws -> Result {
        let meter = Meter()
        let window = max(1, options.window / count)
        var pairs: [Pair] = []
        for index in 0..<count {
            let pair = Pair(window: window, size: options.size, meter: meter)
            for (peer, letter) in [(pair.sender!, "a"), (pair.receiver!, "b")] {
                try await peer.connect(to: server.address + (isRelay ? "/ws" : "/\(letter)\(index)"), on: loop)
                if isRelay { peer.introduce(wantsReceipts: letter == "a") }
            }
            pairs.append(pair)
        }
        // Everyone is known to the server before the first message.
        try await Task.sleep(for: .milliseconds(500))
        for pair in pairs { loop.execute { pair.start() } }
        try await Task.sleep(for: .seconds(1))
        let began = ContinuousClock.now
        let used = server.processorTime
        loop.execute { meter.start() }
        try await Task.sleep(for: .seconds(options.seconds))
        loop.execute { meter.stop() }
        let passed = (ContinuousClock.now - began) / .seconds(1)
        let spent = server.processorTime - used
        for pair in pairs { loop.execute { pair.isOver = true } }
        try await Task.sleep(for: .milliseconds(300))
        for pair in pairs {
            pair.sender.close()
            pair.receiver.close()
        }
        try await Task.sleep(for: .milliseconds(200))
        return Result(
            perSecond: Double(meter.messages) / passed,
            processorTimePerMessage: meter.messages > 0 ? spent / Double(meter.messages) : .nan,
            median: meter.percentile(0.5), p99: meter.percentile(0.99))
    }
}
