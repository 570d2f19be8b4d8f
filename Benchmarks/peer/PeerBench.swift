import BenchSupport
import Foundation
import MeshNode
import Transport

/// Measures two peers on this machine over a relay and a registry in processes of their own: pairing, an operation there
/// and back, and bytes on a stream, these beside what they cannot be faster than.
@main
struct PeerBench {
    private static let usage = "usage: kars-bench-peer [--calls 2000] [--mib 64] [--pairings 20] [--folder DIR] [--kars PATH]"
    /// Content of a frame of a stream.
    private static let piece = 128 << 10

    private struct Options {
        var calls = 2_000
        var mebibytes = 64
        var pairings = 20
        /// Where the peers keep their state; the disk there is a part of what is measured.
        var folder = FileManager.default.temporaryDirectory.path
        var kars = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/kars"

        init(_ arguments: [String]) throws(BenchError) {
            var rest = arguments[...]
            while let name = rest.popFirst() {
                guard let value = rest.popFirst() else { throw .usage(usage) }
                switch name {
                case "--calls": calls = try BenchNumber.count(value, usage: usage)
                case "--mib": mebibytes = try BenchNumber.count(value, usage: usage)
                case "--pairings": pairings = try BenchNumber.count(value, usage: usage)
                case "--folder": folder = value
                case "--kars": kars = value
                default: throw .usage(usage)
                }
            }
        }
    }

    static func main() async {
        do {
            try await measure(try Options(Array(CommandLine.arguments.dropFirst())))
        } catch {
            FileHandle.standardError.write(Data("\(error)\n".utf8))
            exit(1)
        }
    }

    private static func measure(_ options: Options) async throws {
        let folder = options.folder + "/kars-bench-peer-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let data = { (name: String) in ["--listen", "127.0.0.1:0", "--data", folder + "/" + name] }
        let registry = try await ServerProcess(name: "registry", options.kars) { _ in
            ["registry", "--registrations-per-second", "1000", "--requests-per-second", "10000"] + data("registry")
        }
        defer { registry.stop() }
        let relay = try await ServerProcess(name: "relay", options.kars) { _ in
            // Its bound by connection is not what is measured.
            ["relay", "--mib-per-second", "4096"] + data("relay")
        }
        defer { relay.stop() }
        let relayURL = relay.address + "/ws"
        let host = try await BenchPeer("host", folder: folder, relay: relayURL, registry: registry.address)
        host.table.register(Ping.self) { _, _ in Done() }
        host.table.register(stream: Flood.self) { request, _ in Flood.work(request) }

        var ceremonies: [Double] = []
        var guests: [BenchPeer] = []
        for number in 0..<options.pairings {
            let guest = try await BenchPeer("guest-\(number)", folder: folder, relay: relayURL, registry: registry.address)
            let token = try await host.token()
            ceremonies.append(try await time { try await guest.accept(token) })
            guests.append(guest)
        }
        let guest = guests[0]
        show("pairing, from the token to the issuer's word", ceremonies)

        for _ in 0..<200 { _ = try await guest.calls.call(Ping(), of: host.name) }
        var calls: [Double] = []
        for _ in 0..<options.calls {
            calls.append(try await time { _ = try await guest.calls.call(Ping(), of: host.name) })
        }
        show("operation there and back", calls)

        let total = options.mebibytes << 20
        _ = try await flood(host, guest, 4 << 20)
        let rate = try await flood(host, guest, total)
        let loop = try EventLoop(name: "relay load")
        let relayRate = try await Limits.relay(relayURL, piece: piece, total: total, loop: loop)
        loop.shutdown()
        let cipher = Limits.secretstream(piece: piece, total: total)
        let plain = try Limits.plainCopy(total: total)
        print("\nMB/s over \(options.mebibytes) MiB")
        for (name, value) in [
            ("stream", rate), ("relay alone", relayRate), ("secretstream", cipher), ("plain copy", plain),
        ] {
            print(BenchTable.row([name, BenchTable.number(value / 1_000_000, 1)]))
        }
        print("the stream is \(BenchTable.number(rate / min(relayRate, cipher) * 100)) % of the slower of relay and cipher")
        for peer in guests + [host] { peer.stop() }
    }

    private static func flood(_ host: BenchPeer, _ guest: BenchPeer, _ total: Int) async throws -> Double {
        let began = ContinuousClock.now
        let stream = try await guest.calls.open(Flood(bytes: total), at: host.name)
        var got = 0
        while let item = try await stream.next() { got += item.bytes.count }
        guard got == total else { throw BenchError.badAnswer("\(got) bytes of \(total)") }
        return Limits.rate(total, since: began)
    }

    /// Milliseconds that something takes.
    private static func time(_ body: () async throws -> Void) async throws -> Double {
        let began = ContinuousClock.now
        try await body()
        return (ContinuousClock.now - began) / .milliseconds(1)
    }

    private static func show(_ what: String, _ milliseconds: [Double]) {
        let sorted = milliseconds.sorted()
        let at = { (share: Double) in BenchTable.number(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))], 2) }
        print("\(what): p50 \(at(0.5)) ms, p99 \(at(0.99)) ms, of \(sorted.count)")
        fflush(nil)
    }
}
