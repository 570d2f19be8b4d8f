import EntraTokens
import FoundationEssentials
import MeshIdentity
import Transport

/// A place where people sign in, for `kars mesh auth`.
public struct OAuthProvider: Sendable {
    /// How the provider says who signed in.
    enum Proof: Sendable {
        /// An API that tells whose access token it is.
        case account(ServiceURL)
        /// An ID token of this tenant, whose keys are there.
        case idToken(tenantID: String, keysURL: ServiceURL)
    }

    let name: String
    let displayName: String
    let clientID: String
    let clientSecret: SecretBytes
    let scope: String
    let authorizationURL: ServiceURL
    let tokenURL: ServiceURL
    let proof: Proof
    let tls: ClientTLS

    /// GitHub, or a server that speaks as it does.
    ///
    /// - Parameters:
    ///   - site: where people sign in.
    ///   - api: where accounts are told.
    public static func github(
        clientID: String, clientSecret: SecretBytes, site: String = "https://github.com",
        api: String = "https://api.github.com", tls: ClientTLS = ClientTLS()
    ) throws(RegistryError) -> OAuthProvider {
        let site = try url(site)
        return OAuthProvider(
            name: "github", displayName: "GitHub", clientID: clientID, clientSecret: clientSecret, scope: "read:user",
            authorizationURL: site.appending(path: "/login/oauth/authorize"),
            tokenURL: site.appending(path: "/login/oauth/access_token"),
            proof: .account(try url(api).appending(path: "/user")), tls: tls)
    }

    /// One tenant of Microsoft Entra ID, or a server that speaks as it does.
    public static func entra(
        tenantID: String, clientID: String, clientSecret: SecretBytes,
        site: String = "https://login.microsoftonline.com", tls: ClientTLS = ClientTLS()
    ) throws(RegistryError) -> OAuthProvider {
        let name: String
        do { name = try EntraSettings.checked(tenantID: tenantID) } catch { throw .badSetting("\(error)") }
        let tenant = try url(site).appending(path: "/\(name)")
        return OAuthProvider(
            name: "entra", displayName: "Microsoft Entra ID", clientID: clientID, clientSecret: clientSecret,
            scope: "openid profile email", authorizationURL: tenant.appending(path: "/oauth2/v2.0/authorize"),
            tokenURL: tenant.appending(path: "/oauth2/v2.0/token"),
            proof: .idToken(tenantID: tenantID, keysURL: tenant.appending(path: "/discovery/v2.0/keys")), tls: tls)
    }

    private static func url(_ text: String) throws(RegistryError) -> ServiceURL {
        let url: ServiceURL
        do {
            url = try ServiceURL(parsing: text)
        } catch {
            throw .badSetting("\(error)")
        }
        guard url.isSecure || url.isOnThisMachine else {
            throw .badSetting("an OAuth provider must be called over https")
        }
        return url
    }
}

/// Sign-in at providers.
public struct OAuthSettings: Sendable {
    let providers: [OAuthProvider]
    /// Where browsers reach this registry.
    let publicURL: ServiceURL

    /// - Parameter publicURL: the registry's own URL as browsers reach it; providers send people back there.
    public init(providers: [OAuthProvider], publicURL: ServiceURL) throws(RegistryError) {
        guard publicURL.isSecure || publicURL.isOnThisMachine else {
            throw .badSetting("the public URL for OAuth must be https")
        }
        self.providers = providers
        self.publicURL = publicURL
    }
}
