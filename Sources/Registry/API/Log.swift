import FoundationEssentials
import MeshIdentity
import Transport

/// The log of key bindings, by which clients catch a registry that tells two stories.
extension RegistryAPI {
    func logHead() async throws -> HTTPResponse { .json(head(of: try await store.logState())) }

    func logEntries(_ request: HTTPRequest) async throws -> HTTPResponse {
        let start = try number("start", 0...Int.max, of: request) ?? 0
        let (limit, _) = try page(of: request)
        return .json(try await store.logPage(start: start, limit: limit))
    }

    func logProof(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard let text = request.queryValue("did") else {
            throw Refusal.malformed("the query parameter did is missing")
        }
        var kind: KeyBinding.Kind?
        if let text = request.queryValue("kind") {
            kind = KeyBinding.Kind(rawValue: text)
            guard kind != nil else { throw Refusal.malformed("kind is registration, home, succession or revocation") }
        }
        guard let did = try? DID(parsing: text), let found = try await store.logInclusion(of: did, kind: kind) else {
            throw Refusal.missing("the log holds nothing about this agent")
        }
        return .json(LogProof(entry: found.entry, path: found.path, head: head(of: found.state)))
    }

    func logConsistency(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard let from = try number("from", 0...Int.max, of: request),
            let to = try number("to", 0...Int.max, of: request)
        else { throw Refusal.malformed("the query parameters from and to are needed") }
        guard let proof = try await store.logConsistency(from: from, to: to) else {
            throw Refusal.malformed("from is at most to, and to at most the size of the log")
        }
        return .json(proof)
    }

    private func head(of state: LogState) -> LogHead {
        LogHead.make(size: state.size, root: state.root, signer: signer, now: now())
    }
}
