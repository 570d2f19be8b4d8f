import FoundationEssentials
import Storage

/// Who this node is at the registry of an image: what `docker login` left in Docker's own configuration, or what a
/// credential helper named there knows.
struct RegistryLogin: Sendable {
    /// Docker's name for its own registry, in the configuration as to helpers.
    private static let hub = "https://index.docker.io/v1/"
    private static let maximumBytes = 1 << 20

    /// May name the folder of the configuration (`DOCKER_CONFIG`, else `HOME/.docker`) and where helpers are (`PATH`).
    let environment: [String: String]

    private struct Configuration: Decodable {
        let auths: [String: Entry]?
        let credsStore: String?
        let credHelpers: [String: String]?

        struct Entry: Decodable {
            let auth: String?
            let identitytoken: String?
        }
    }

    /// What the engine is told in `X-Registry-Auth`. It is written into no log and no error.
    private struct Told: Encodable {
        var username: String?
        var password: String?
        var identitytoken: String?
        let serveraddress: String
    }

    /// The value of `X-Registry-Auth` for an image; nil when nothing is known of its registry. Blocks.
    ///
    /// - Throws: ``SandboxError/engine(reason:)`` for a configuration that is not understood or a helper that fails.
    func header(for image: String) throws(SandboxError) -> String? {
        guard let configuration = try configuration() else { return nil }
        let registry = Self.registry(of: image)
        guard let told = try credential(of: registry, configuration) else { return nil }
        guard let json = try? JSONEncoder().encode(told) else { return nil }
        return json.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
    }

    /// The registry that an image comes from, as the configuration names it.
    static func registry(of image: String) -> String {
        let parts = image.split(separator: "/", maxSplits: 1)
        guard parts.count == 2, let first = parts.first,
            first.contains(".") || first.contains(":") || first == "localhost", first != "docker.io"
        else { return hub }
        return String(first)
    }

    private func configuration() throws(SandboxError) -> Configuration? {
        let folder = environment["DOCKER_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
            ?? environment["HOME"].map { "\($0)/.docker" }
        guard let folder else { return nil }
        let path = "\(folder)/config.json"
        do {
            guard let bytes = try AtomicFile.read(path, limit: Self.maximumBytes) else { return nil }
            return try JSONDecoder().decode(Configuration.self, from: Data(bytes))
        } catch {
            // What a decoder says may hold a piece of the file.
            throw .engine(reason: "\(path) cannot be read, or is no configuration of Docker")
        }
    }

    private func credential(of registry: String, _ configuration: Configuration) throws(SandboxError) -> Told? {
        if let helper = configuration.credHelpers?[registry] ?? configuration.credsStore,
            let found = try CredentialHelper(name: helper, environment: environment).credential(of: registry)
        {
            // Helpers say so for tokens that stand for a sign-in.
            return found.username == "<token>"
                ? Told(identitytoken: found.secret, serveraddress: registry)
                : Told(username: found.username, password: found.secret, serveraddress: registry)
        }
        let entry = configuration.auths?[registry]
            ?? configuration.auths?.first { Self.host($0.key) == Self.host(registry) }?.value
        guard let entry else { return nil }
        if let token = entry.identitytoken, !token.isEmpty { return Told(identitytoken: token, serveraddress: registry) }
        guard let auth = entry.auth, !auth.isEmpty else { return nil }
        guard let data = Data(base64Encoded: auth), let colon = data.firstIndex(of: UInt8(ascii: ":")) else {
            throw .engine(reason: "what Docker's configuration holds for \(registry) is not a name and a password")
        }
        return Told(
            username: String(decoding: data[..<colon], as: UTF8.self),
            password: String(decoding: data[(colon + 1)...].filter { $0 != 0 }, as: UTF8.self), serveraddress: registry)
    }

    /// Old entries are whole addresses.
    private static func host(_ registry: String) -> Substring {
        let start = registry.firstRange(of: "://")?.upperBound ?? registry.startIndex
        return registry[start...].prefix { $0 != "/" }
    }
}
