import CommandTree
import MeshIdentity
import Registry
import Transport

/// Where a registry lets people sign in, as options of `kars registry`.
enum SignInOptions {
    static let all: [Option] = [
        text("public-url", "url", "URL of this registry as browsers reach it, for sign-ins"),
        text("github-client-id", "id", "Let people sign in with this OAuth application of GitHub"),
        file("github-client-secret-file", "File with the application's secret"),
        text("github-url", "url", "A GitHub of one's own", "https://github.com"),
        text("github-api-url", "url", "Its API; of one's own it is https://HOST/api/v3", "https://api.github.com"),
        text("entra-client-id", "id", "Let people sign in with this Entra application of --entra-tenant"),
        file("entra-client-secret-file", "File with the application's secret"),
        text("entra-url", "url", "Entra of another cloud", "https://login.microsoftonline.com"),
        file("provider-ca", "PEM file of the authorities to trust as provider", note: "the system's"),
    ]

    private static func text(_ name: String, _ kind: String, _ help: String, _ value: String? = nil) -> Option {
        .value(
            name, kind, kind: kind == "url" ? .url(schemes: ["http", "https"]) : .text, help: help, defaultValue: value,
            environment: ServiceOptions.variable("registry", name))
    }

    private static func file(_ name: String, _ help: String, note: String? = nil) -> Option {
        .value(
            name, "file", kind: .file, help: help, defaultNote: note,
            environment: ServiceOptions.variable("registry", name))
    }

    /// - Returns: nil when no provider was named.
    static func settings(_ invocation: Invocation) throws(UsageError) -> OAuthSettings? {
        let gitHub = try application("github", invocation), entra = try application("entra", invocation)
        let publicURL = try ServiceOptions.url("public-url", invocation)
        guard gitHub != nil || entra != nil else {
            guard publicURL == nil else {
                throw .refused("--public-url is for sign-ins: it needs --github-client-id or --entra-client-id")
            }
            return nil
        }
        guard let publicURL else {
            throw .refused("sign-ins need --public-url, where providers send browsers back to this registry")
        }
        let tenant = invocation.value("entra-tenant")
        guard entra == nil || tenant != nil else { throw .refused("--entra-client-id needs --entra-tenant") }
        let tls = ClientTLS(caFile: invocation.value("provider-ca"))
        do throws(RegistryError) {
            var providers: [OAuthProvider] = []
            if let gitHub {
                providers.append(
                    try .github(
                        clientID: gitHub.id, clientSecret: gitHub.secret, site: invocation.value("github-url") ?? "",
                        api: invocation.value("github-api-url") ?? "", tls: tls))
            }
            if let entra, let tenant {
                providers.append(
                    try .entra(
                        tenantID: tenant, clientID: entra.id, clientSecret: entra.secret,
                        site: invocation.value("entra-url") ?? "", tls: tls))
            }
            return try OAuthSettings(providers: providers, publicURL: publicURL)
        } catch {
            throw .refused("\(error)")
        }
    }

    private static func application(
        _ provider: String, _ invocation: Invocation
    ) throws(UsageError) -> (id: String, secret: SecretBytes)? {
        let secret = try SecretFile.read("\(provider)-client-secret-file", invocation)
        switch (invocation.value("\(provider)-client-id"), secret) {
        case (let id?, let secret?): return (id, SecretBytes(copying: Array(secret.utf8)))
        case (nil, nil): return nil
        default: throw .refused("--\(provider)-client-id and --\(provider)-client-secret-file go together")
        }
    }
}
