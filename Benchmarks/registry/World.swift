import BenchSupport
import Foundation
import MeshIdentity
import Synchronization

/// A registry and the agents that were registered there.
final class World {
    struct Figure {
        let name: String
        let perSecond: Double
        /// Milliseconds.
        let median: Double
        let p99: Double
        /// The registry's processor time for one request, in microseconds.
        let cost: Double
    }

    /// Agents of one narrow capability, and those with prekeys.
    private static let groupSize = 100
    private static let withPrekeys = 500
    private static let oneTimeKeys = 100

    let server: ServerProcess
    let options: BenchOptions
    private(set) var dids: [String] = []
    private var havePrekeys = false

    var agents: Int { dids.count }
    private let port: UInt16

    init(server: ServerProcess, options: BenchOptions) throws(BenchError) {
        self.server = server
        self.options = options
        guard let port = server.address.split(separator: ":").last.flatMap({ UInt16($0) }) else {
            throw .noServer(server.name)
        }
        self.port = port
    }

    /// Registers agents until there are so many.
    func grow(to size: Int) throws {
        while agents < size {
            let count = min(size - agents, 20_000)
            let batch = Self.registrations(from: agents, count: count)
            let next = Atomic<Int>(0)
            try onEveryConnection { client in
                while true {
                    let at = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard at < batch.count else { return }
                    let status = try client.send(batch[at].request)
                    guard status == 201 else { throw BenchError.badAnswer("\(status) to a registration") }
                }
            }
            dids += batch.map(\.did)
        }
        guard !havePrekeys else { return }
        havePrekeys = true
        try uploadPrekeys()
    }

    private var prekeyDIDs: [String] = []

    /// The first agents whose keys are kept get prekeys.
    private func uploadPrekeys() throws {
        let client = try BlockingClient(port: port)
        for _ in 0..<Self.withPrekeys {
            let identity = Identity.generate()
            let body = try JSONEncoder().encode(
                RegistrationRequest.make(identity: identity, capabilities: ["prekeys"], metadata: [:], now: Date()))
            _ = try client.send(BlockingClient.request("POST", "/v1/agents", body: Array(body)))
            var store = PrekeyStore.make(identity: identity, now: Date())
            _ = store.refill(to: Self.oneTimeKeys)
            let upload = try JSONEncoder().encode(store.upload(identity: identity))
            let status = try client.send(
                BlockingClient.request(
                    "PUT", "/v1/agents/\(identity.did)/prekeys", body: Array(upload),
                    authorization: TimestampAuthorization.header(for: identity, now: Date())))
            guard status == 200 else { throw BenchError.badAnswer("\(status) to an upload of prekeys") }
            prekeyDIDs.append("\(identity.did)")
        }
    }

    /// Measures each kind of request.
    func figures() throws -> [Figure] {
        let dids = self.dids, prekeyDIDs = self.prekeyDIDs, groups = max(1, agents / Self.groupSize)
        var figures: [Figure] = []
        // Prepared ahead, so that signing is not measured.
        let fresh = Self.registrations(from: agents, count: Int(options.seconds * 12_000))
        let next = Atomic<Int>(0)
        let registration = try run("register") { client in
            let at = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard at < fresh.count else { return nil }
            return (try client.send(fresh[at].request), 201)
        }
        figures.append(registration)
        self.dids += fresh.prefix(min(fresh.count, next.load(ordering: .relaxed))).map(\.did)
        figures.append(
            try run("lookup") { client in
                (try client.send(BlockingClient.request("GET", "/v1/agents/\(dids.randomElement()!)")), 200)
            })
        figures.append(
            try run("prekeys") { client in
                (try client.send(BlockingClient.request("GET", "/v1/agents/\(prekeyDIDs.randomElement()!)/prekeys")), 200)
            })
        figures.append(
            try run("discover") { client in
                let capability = "group-\(Int.random(in: 0..<groups))"
                return (try client.send(BlockingClient.request("GET", "/v1/discover?capability=\(capability)")), 200)
            })
        figures.append(
            try run("discover all") { client in
                (try client.send(BlockingClient.request("GET", "/v1/discover?capability=bench")), 200)
            })
        return figures
    }

    /// Lookups at half of the highest rate, each at its time.
    func lookupsAtHalf(of rate: Double) throws -> Figure {
        let dids = self.dids, pause = Duration.seconds(Double(options.connections) / (rate / 2))
        return try run("at half", pause: pause) { client in
            (try client.send(BlockingClient.request("GET", "/v1/agents/\(dids.randomElement()!)")), 200)
        }
    }

    private struct Registration: Sendable {
        let did: String
        let request: [UInt8]
    }

    private static func registrations(from: Int, count: Int) -> [Registration] {
        (from..<(from + count)).map { number in
            let identity = Identity.generate()
            let request = RegistrationRequest.make(
                identity: identity, capabilities: ["bench", "group-\(number / groupSize)"], metadata: ["n": "\(number)"],
                now: Date())
            let body = (try? JSONEncoder().encode(request)).map(Array.init) ?? []
            return Registration(
                did: "\(identity.did)", request: BlockingClient.request("POST", "/v1/agents", body: body))
        }
    }

    /// - Parameter step: one request; nil when there is none left. The status that came, and the right one.
    private func run(
        _ name: String, pause: Duration? = nil,
        _ step: @escaping @Sendable (BlockingClient) throws -> (status: Int, wanted: Int)?
    ) throws -> Figure {
        let all = Mutex<[Double]>([])
        let used = server.processorTime
        let start = ContinuousClock.now, end = start + .seconds(options.seconds)
        try onEveryConnection { client in
            var times: [Double] = []
            var due = ContinuousClock.now
            while ContinuousClock.now < end {
                if let pause {
                    due += pause
                    let early = due - ContinuousClock.now
                    if early > .zero { usleep(UInt32(early / .microseconds(1))) }
                }
                // Counted from when it was due: a slow answer delays those behind it.
                let began = pause == nil ? ContinuousClock.now : due
                guard let (status, wanted) = try step(client) else { break }
                guard status == wanted else { throw BenchError.badAnswer("\(status) to \(name)") }
                times.append((ContinuousClock.now - began) / .milliseconds(1))
            }
            all.withLock { $0 += times }
        }
        let taken = (ContinuousClock.now - start) / .seconds(1)
        let sorted = all.withLock { $0.sorted() }
        guard !sorted.isEmpty else { throw BenchError.badAnswer("nothing to \(name)") }
        return Figure(
            name: name, perSecond: Double(sorted.count) / taken, median: sorted[sorted.count / 2],
            p99: sorted[sorted.count * 99 / 100], cost: (server.processorTime - used) / Double(sorted.count))
    }

    private func onEveryConnection(_ body: @escaping @Sendable (BlockingClient) throws -> Void) throws {
        let failure = Mutex<(any Error)?>(nil)
        let port = self.port
                let group = DispatchGroup()
        for _ in 0..<options.connections {
            group.enter()
            Thread.detachNewThread {
                do { try body(try BlockingClient(port: port)) } catch { failure.withLock { $0 = error } }
                group.leave()
            }
        }
        group.wait()
        if let error = failure.withLock({ $0 }) { throw error }
    }
}
