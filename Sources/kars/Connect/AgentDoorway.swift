import CommandTree
import FoundationEssentials
import MeshNode
import Storage
import Transport

/// The way to one agent through the gateway of this machine's node.
struct AgentDoorway: Sendable {
    let agent: String
    /// The agent's address at the gateway.
    let url: ServiceURL
    let token: String
    let tls: ClientTLS

    /// Asks the node where the agent is, and says where it was found.
    ///
    /// - Throws: when it is not where `--local` or `--cloud` want it, or does not run.
    static func find(_ invocation: Invocation) async throws -> AgentDoorway {
        let name = invocation.required("name")
        let (sandbox, isAway) = try await sandbox(invocation)
        guard isAway || sandbox.status != "stopped" else {
            throw OperationFailure(.refused, "\(name) is stopped", hint: "'kars dev --name \(name)' starts it again")
        }
        guard let text = sandbox.gatewayURL, let url = try? ServiceURL(parsing: text), let file = sandbox.tokenFile,
            let token = try AtomicFile.read(file, limit: 4096)
        else { throw OperationFailure(.failed, "the node does not say how to reach \(name)") }
        let place = isAway ? "at \(PrintableText.escaped(sandbox.home))" : "here"
        if Console.showsProgress { Console.complain("\(PrintableText.escaped(name)) lives \(place)") }
        return AgentDoorway(
            agent: name, url: url, token: String(decoding: token, as: UTF8.self).trimmingWhitespace,
            tls: ClientTLS(caFile: invocation.value("ca")))
    }

    /// The peer where the agent lives, when that is another one.
    ///
    /// - Throws: as ``find(_:)`` where `--local` or `--cloud` want it elsewhere.
    static func home(_ invocation: Invocation) async throws -> String? {
        let (sandbox, isAway) = try await sandbox(invocation)
        return isAway ? sandbox.home : nil
    }

    private static func sandbox(_ invocation: Invocation) async throws -> (SandboxSummary, isAway: Bool) {
        let name = invocation.required("name")
        let sandbox = try await NodeConnection.call(SandboxStatus(sandboxName: name), invocation)
        let isAway = sandbox.status == "offloaded"
        if isAway, invocation.flag("local") {
            throw OperationFailure(
                .refused, "\(name) lives at \(sandbox.home), not here", hint: "leave --local out to reach it there")
        }
        if !isAway, invocation.flag("cloud") {
            throw OperationFailure(.refused, "\(name) lives here", hint: "leave --cloud out to reach it")
        }
        return (sandbox, isAway)
    }

    /// The page's address at a place that leads to the gateway. The token stands in the fragment, which a browser keeps to
    /// itself.
    func webAddress(_ host: String, _ port: Int) -> String {
        let name = host.contains(":") ? "[\(host)]" : host
        return "\(url.scheme.rawValue)://\(name):\(port)/#agent=\(agent)&token=\(token)"
    }

    /// Where the gateway itself listens.
    var gateway: (host: String, port: Int)? {
        if case .tcp(let host, let port) = url.place { return (host, port) }
        return nil
    }
}
