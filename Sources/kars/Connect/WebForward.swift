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
        if gateway.port == port { return try Console.line(door.webAddress(gateway.host, port)) }
        let free = try Self.freePort(from: port)
        let loop = try EventLoop(name: "forward")
        defer { loop.shutdown() }
        let signals = StopSignals()
        let forwarder = try await StreamForwarder(
            loop: loop, listen: .tcp(host: "127.0.0.1", port: free),
            target: .tcp(host: gateway.host, port: gateway.port))
        try Console.line(door.webAddress("127.0.0.1", free))
        if Console.showsProgress { Console.complain("Ctrl-C ends it.") }
        await signals.wait()
        await forwarder.close()
    }

    /// The wanted port, or the next one that is free.
    static func freePort(from port: Int) throws(OperationFailure) -> Int {
        guard let free = (port...min(65_535, port + furtherPorts)).first(where: LocalPort.isFree) else {
            throw OperationFailure(
                .conflict, "the ports from \(port) to \(port + furtherPorts) are taken", hint: "give another --port")
        }
        return free
    }
}
