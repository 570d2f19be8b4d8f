import FoundationEssentials
import MeshNode
import Transport

/// The runtime contract's hooks around a move, called over the agent's own socket.
///
/// An agent may have none: it is then stopped where it stands, and starts at its new home from what it had written.
struct AgentHooks: Sendable {
    private let client: HTTPClient

    init(loop: EventLoop) {
        client = HTTPClient(loop: loop, timeout: .seconds(20), maximumBodyBytes: 64 << 10)
    }

    private struct State: Decodable { let digest: String }

    /// Answers of a server that does not know the hook.
    private static let absent = [404, 405, 501]

    /// Finishes turns under way, brings all to the disk and takes no more; answers the state's digest.
    func freeze(_ socket: String) async throws -> String? { try await call("POST", "/v1/freeze", socket) }

    /// Takes turns again.
    func thaw(_ socket: String) async throws { _ = try await call("POST", "/v1/thaw", socket) }

    /// The digest of the agent's present state.
    func digest(_ socket: String) async throws -> String? { try await call("GET", "/v1/state", socket) }

    private func call(_ method: String, _ path: String, _ socket: String) async throws -> String? {
        let response = try await client.send(
            HTTPClientRequest(method: method, url: ServiceURL(unixSocket: socket, target: path)))
        if Self.absent.contains(response.status) { return nil }
        guard response.status == 200 else {
            throw OperationFailure(.failed, "the agent answered \(response.status) to \(path)")
        }
        return (try? JSONDecoder().decode(State.self, from: Data(response.body)))?.digest
    }
}
