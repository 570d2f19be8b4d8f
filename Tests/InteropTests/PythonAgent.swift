import MeshIdentity
import MeshNode
import TestSupport
import Transport

/// An agent made of the published library's classes, in a process of its own.
final class PythonAgent: Sendable {
    let process: PythonProcess
    let peer: PeerIdentity

    /// Registers, uploads prekeys and connects.
    init(_ python: String, relay: ServiceURL, registry: ServiceURL, oneTimePrekeys: Int = 10) async throws {
        process = try PythonProcess(python, script: "agent")
        _ = try await process.line()
        let registered = try await process.call("register", ["registry": registry.description])
        let text = registered["public_key"] as? String ?? ""
        guard registered["status"] as? Int == 201, let key = Base64.decode(text) else {
            throw PythonProcess.Failure(description: "registering: \(registered)")
        }
        peer = PeerIdentity(key: try PublicKey(bytes: key))
        try await uploadPrekeys(oneTimePrekeys)
        try await connect(relay)
    }

    func connect(_ relay: ServiceURL) async throws { try await process.call("connect", ["relay": relay.description]) }

    func uploadPrekeys(_ oneTime: Int) async throws {
        let stored = try await process.call("prekeys", ["one_time": oneTime])
        guard stored["status"] as? Int == 200 else { throw PythonProcess.Failure(description: "prekeys: \(stored)") }
    }

    /// KNOCKs and returns `knock_accept` or the reason of a rejection.
    func knock(_ peer: PeerIdentity, form: String = "knock") async throws -> String {
        let answer = try await process.call("knock", ["did": peer.did.text, "form": form])
        return answer["reason"] as? String ?? answer["answer"] as? String ?? "nothing"
    }

    func send(_ texts: [String], to peer: PeerIdentity) async throws {
        try await process.call("send", ["did": peer.did.text, "texts": texts])
    }

    /// The next messages; one that did not open reads as its error.
    func receive(_ count: Int) async throws -> [String] {
        let answer = try await process.call("receive", ["count": count])
        return (answer["messages"] as? [[String: Any]] ?? []).map {
            $0["text"] as? String ?? "error: \($0["error"] ?? "")"
        }
    }

    func stop() async { await process.stop() }
}
