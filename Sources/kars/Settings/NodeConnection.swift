import CommandTree
import MeshNode
import Transport

/// A command's way to the node of this machine.
enum NodeConnection {
    static let socket = Option.value(
        "socket", "path", kind: .file, help: "Unix socket of the node",
        defaultNote: "$KARS_HOME/node/node.sock", environment: "KARS_NODE_SOCKET")

    /// The options of a command that asks the node and prints what it says.
    static let options = [socket, OutputFormat.option]

    /// As ``options``, for a command that can also be meant for a cluster's controller.
    static let clusterOptions = [socket, ClusterDoor.option, OutputFormat.option]

    static func socketPath(_ invocation: Invocation) throws(UsageError) -> String {
        if invocation.hasOption("socket"), let path = invocation.value("socket") { return absolutePath(path) }
        return try KarsHome(invocation.environment).folder(of: "node") + "/node.sock"
    }

    /// Gives the body a client and takes its connections down afterwards.
    static func open<R>(
        _ invocation: Invocation, _ body: (NodeClient) async throws -> R
    ) async throws -> R {
        if let context = ClusterDoor.context(invocation) {
            let loop = try EventLoop(name: "kars")
            defer { loop.shutdown() }
            return try await body(try ClusterDoor.node(context, invocation, loop))
        }
        let path = try socketPath(invocation)
        do throws(TransportError) {
            _ = try Endpoint(parsing: "unix:" + path)
        } catch {
            throw UsageError.refused("\(path) is too long or malformed for the path of a Unix socket")
        }
        let loop = try EventLoop(name: "kars")
        defer { loop.shutdown() }
        return try await body(NodeClient(socketPath: path, loop: loop))
    }

    /// Whether somebody listens at the node's socket.
    static func isAnswering(_ invocation: Invocation) async throws -> Bool {
        do {
            _ = try await call(PeerStatus(), invocation)
            return true
        } catch let failure as OperationFailure {
            if failure.code == .unavailable { return false }
            return true
        }
    }

    /// Asks one thing.
    static func call<Operation: PeerOperation>(
        _ operation: Operation, _ invocation: Invocation
    ) async throws -> Operation.Answer {
        try await open(invocation) { try await $0.call(operation) }
    }
}
