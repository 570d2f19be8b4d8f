import CommandTree
import FoundationEssentials
import MeshNode
import Storage

/// The file `config.json` of the home folder: which provider and model are used here. It never holds a key.
struct LocalConfiguration: Codable, Equatable, Sendable {
    static let fileName = "config.json"
    private static let maximumBytes = 64 << 10

    /// Nil until one was chosen, and for those who chose none.
    var provider: InferenceProvider?
    var endpoint: String?
    var model: String?
    var foundryProjectEndpoint: String?
    var version: String?
    /// Whether the question of the first run was answered, if with "none".
    var firstRunCompleted = false

    /// The model in force: the chosen one, else the provider's usual one.
    var effectiveModel: String? { model ?? provider?.defaultModel }
    var effectiveEndpoint: String? { endpoint ?? provider?.endpoint }

    init(provider: InferenceProvider? = nil) { self.provider = provider }

    init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        // A provider of another version of kars reads as Foundry, as that one does.
        provider = try object.decodeIfPresent(String.self, forKey: .provider)
            .map { InferenceProvider(rawValue: $0) ?? .foundry }
        endpoint = try object.decodeIfPresent(String.self, forKey: .endpoint)
        model = try object.decodeIfPresent(String.self, forKey: .model)
        foundryProjectEndpoint = try object.decodeIfPresent(String.self, forKey: .foundryProjectEndpoint)
        version = try object.decodeIfPresent(String.self, forKey: .version)
        firstRunCompleted = try object.decodeIfPresent(Bool.self, forKey: .firstRunCompleted) ?? false
    }

    static func path(in home: KarsHome) -> String { "\(home.path)/\(fileName)" }

    /// The stored configuration; nil when there is none.
    static func load(_ home: KarsHome) throws -> LocalConfiguration? {
        let path = path(in: home)
        guard let bytes = try AtomicFile.read(path, limit: maximumBytes) else { return nil }
        do {
            return try JSONDecoder().decode(LocalConfiguration.self, from: Data(bytes))
        } catch {
            throw OperationFailure(
                .failed, "\(path) is not a configuration of kars",
                hint: "repair it, or start over with 'kars config reset'")
        }
    }

    /// Replaces the file whole.
    func save(_ home: KarsHome) throws {
        try AtomicFile.makeFolder(home.path)
        try AtomicFile.write(Array((OutputFormat.json(self) + "\n").utf8), to: Self.path(in: home))
    }
}
