import FoundationEssentials
import MeshNode
import Transport

/// The live list of a provider's models, for GitHub Models.
struct ModelCatalogue: Sendable {
    /// One model, as the catalogue names it.
    struct Entry: Decodable, Sendable, Equatable {
        /// Publisher and name, such as `openai/gpt-4o-mini`.
        let id: String
        let capabilities: [String]?

        /// Whether it can call tools, which an agent needs.
        var callsTools: Bool { capabilities?.contains("tool-calling") ?? false }

        /// Whether a person who typed `name` means this one; the publisher may be left out.
        func isMeant(by name: String) -> Bool { id == name || id.hasSuffix("/" + name) }
    }

    private static let maximumBytes = 4 << 20
    private static let patience = Duration.seconds(5)

    let entries: [Entry]

    /// Asks the catalogue beside an endpoint: `https://models.github.ai/inference` has it at `/catalog/models`.
    static func fetch(endpoint: String, token: String?) async throws -> ModelCatalogue {
        var url = try ServiceURL(parsing: endpoint)
        url.target = "/catalog/models"
        let loop = try EventLoop(name: "catalogue")
        defer { loop.shutdown() }
        var headers: HTTPHeaders = ["accept": "application/json", "user-agent": "kars"]
        if let token { headers["authorization"] = "Bearer \(token)" }
        let answer = try await HTTPClient(loop: loop, timeout: patience, maximumBodyBytes: maximumBytes)
            .send(HTTPClientRequest(url: url, headers: headers))
        guard answer.status == 200 else {
            throw OperationFailure(.unavailable, "the catalogue at \(url) answered \(answer.status)")
        }
        guard let entries = try? JSONDecoder().decode([Entry].self, from: Data(answer.body)) else {
            throw OperationFailure(.unavailable, "the answer of the catalogue at \(url) is no list of models")
        }
        return ModelCatalogue(entries: entries)
    }

    func entry(_ name: String) -> Entry? { entries.first { $0.isMeant(by: name) } }

    /// Models an agent can use.
    var usable: [String] { entries.filter(\.callsTools).map(\.id).sorted() }
}
