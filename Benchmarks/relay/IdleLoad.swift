import BenchSupport
import Transport

/// Connections that only stay.
struct IdleLoad {
    let options: BenchOptions
    let loop: EventLoop

    /// Resident bytes of the server per connection.
    func run(on server: ServerProcess, isRelay: Bool) async throws -> Double {
        // Code and buffers every server needs once are there before.
        var peers: [MeshPeer] = []
        for index in 0..<50 { peers.append(try await join(server, index, isRelay)) }
        try await Task.sleep(for: .milliseconds(500))
        let before = server.residentBytes
        for index in 0..<options.idle { peers.append(try await join(server, 1_000 + index, isRelay)) }
        try await Task.sleep(for: .seconds(1))
        let bytes = Double(server.residentBytes - before) / Double(options.idle)
        for peer in peers { peer.close() }
        return bytes
    }

    private func join(_ server: ServerProcess, _ index: Int, _ isRelay: Bool) async throws -> MeshPeer {
        let peer = MeshPeer { _ in }
        try await peer.connect(to: server.address + (isRelay ? "/ws" : "/a\(index)"), on: loop)
        if isRelay { peer.introduce(wantsReceipts: false) }
        return peer
    }
}
