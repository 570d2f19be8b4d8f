import CommandTree
import MeshNode
import Transport

/// Serves the gateway's page at a port of this machine.
struct WebForward: Sendable {
    /// Ports tried after the wanted one (behaviours §3).
    private static let furtherPorts = 19

    let door: AgentDoorway

    /// Prints the page's address. Where the gateway has the port already, that is all; else the port leads to the
    /// gateway until Ctrl-C.
    func run(port: Int) async throws {
        guard let gateway = door.gateway else {
            throw OperationFailure(.refused, "the gateway is not at a TCP address")
        }
        if gateway.port == port { return try Console.line(address(gateway.host, port)) }
        guard let free = (port...min(65_535, port + Self.furtherPorts)).first(where: LocalPort.isFree) else {
            throw OperationFailure(
                .conflict, "the ports from \(port) to \(port + Self.furtherPorts) are taken", hint: "give another --port")
        }
        let loop = try EventLoop(name: "forward")
        defer { loop.shutdown() }
        let signals = StopSignals()
        let forwarder = try await StreamForwarder(
            loop: loop, listen: .tcp(host: "127.0.0.1", port: free),
            target: .tcp(host: gateway.host, port: gateway.port))
        try Console.line(address("127.0.0.1", free))
        if Console.showsProgress { Console.complain("Ctrl-C ends it.") }
        await signals.wait()
        await forwarder.close()
    }

    /// The token stands in the fragment, which a browser keeps to itself.
    private func address(_ host: String, _ port: Int) -> String {
        let name = host.contains(":") ? "[\(host)]" : host
        return "\(door.url.scheme.rawValue)://\(name):\(port)/#agent=\(door.agent)&token=\(door.token)"
    }
}
