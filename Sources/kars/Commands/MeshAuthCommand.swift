import CommandTree
import FoundationEssentials
import MeshIdentity
import MeshNode
import NodeDaemon
import Transport

extension Command {
    /// `kars mesh auth`
    static let meshAuth = Command(
        "auth", summary: "Sign in, so that a registry can vouch for who stands behind this peer",
        discussion: """
            Opens a browser at the registry's provider, waits up to 5 minutes, and keeps what the registry signs. \
            Makes and registers this peer's identity when there is none. The registry never sees a password, and \
            its answer counts only under the key that its log showed when this peer first met it.

            Without a browser on this machine, or with --no-browser, open the address it prints anywhere.
            """,
        options: [
            .value(
                "provider", "provider", help: "Where to sign in", defaultValue: "github",
                allowed: ["github", "entra"]),
            .flag("no-browser", help: "Print the address instead of opening a browser"),
            .value(
                "registry", "url", kind: .url(schemes: ["http", "https"]), help: "Registry to sign in to",
                defaultNote: "the node's, or the one signed in to before", environment: "KARS_NODE_REGISTRY"),
            .value(
                "ca", "file", kind: .file, help: "PEM file of the authorities to trust as registry",
                defaultNote: "the system's", environment: "KARS_NODE_CA"),
            NodeConnection.socket, OutputFormat.option,
        ],
        examples: [
            Example("kars mesh auth", "Sign in with GitHub, in the browser"),
            Example("kars mesh auth --provider entra --no-browser", "Sign in with Entra, in a browser elsewhere"),
        ],
        environment: [KarsHome.variable, PassphrasePrompt.variable], run: authenticate)

    private static func authenticate(_ invocation: Invocation) async throws {
        let folder = try KarsHome(invocation.environment).path
        let provider = invocation.value("provider") ?? "github"
        let identity = try HomeIdentity.open(
            folder: folder, environment: invocation.environment,
            ask: PassphrasePrompt.isPossible ? PassphrasePrompt.ask : nil)
        let url = try await registry(of: identity, folder, invocation)
        try Registrations.note(url, in: folder)
        let loop = try EventLoop(name: "sign-in")
        defer { loop.shutdown() }
        let signIn = PersonSignIn(
            registry: RegistryClient(
                url: url, tls: ClientTLS(caFile: invocation.value("ca")), loop: loop,
                log: try RegistryLog(registry: url, folder: folder)),
            identity: identity, loop: loop, displayName: try await peerName(invocation))
        let name = PrintableText.escaped(try await signIn.check(provider))
        let isJSON = OutputFormat(invocation) == .json
        let wantsBrowser = !invocation.flag("no-browser")
        let result = try await signIn.run(provider: provider, comesBack: wantsBrowser) { address in
            if wantsBrowser, Browser.open(address, environment: invocation.environment) {
                Console.complain("Opened a browser to sign in with \(name). If you see none, open this address:")
            } else {
                Console.complain("Open this address in a browser to sign in with \(name):")
            }
            // Standard output holds nothing but the result where a program reads it.
            if isJSON { Console.complain(address) } else { try Console.line(address) }
            if Console.showsProgress { Console.complain("Waiting up to 5 minutes; Ctrl-C gives up.") }
        }
        guard result.success else {
            throw OperationFailure(
                .refused, "nobody signed in: \(result.error ?? "the provider gave no reason")", hint: "run this again")
        }
        let record = VerificationRecord(
            registryUrl: url.description, verifiedAt: Date().ISO8601Format(), result: result)
        try record.write(in: folder)
        try OutputFormat.print(record, invocation) { "signed in as \(record.person) at \(url)\n" }
    }

    /// The node's, else the one that it would take.
    private static func peerName(_ invocation: Invocation) async throws -> String {
        if let status = try? await NodeConnection.call(PeerStatus(), invocation) { return status.name }
        let named = invocation.environment["KARS_NODE_NAME"] ?? ""
        return named.isEmpty ? "local" : named
    }

    /// The one named, else the node's, else the one signed in to before, else this machine's.
    private static func registry(
        of identity: Identity, _ folder: String, _ invocation: Invocation
    ) async throws -> ServiceURL {
        if let url = try ServiceOptions.url("registry", invocation) { return url }
        if let status = try? await NodeConnection.call(PeerStatus(), invocation),
            let url = try? ServiceURL(parsing: status.registry)
        {
            return url
        }
        let known = VerificationRecord.find(in: folder, amid: identity.amid)?.registryUrl
        return try ServiceURL(parsing: known ?? "http://127.0.0.1:8080")
    }
}
