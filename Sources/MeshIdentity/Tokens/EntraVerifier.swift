import FoundationEssentials

/// What a token proved: an application of a tenant.
public struct VerifiedApplication: Sendable, Equatable {
    /// The application's id.
    public let appID: String
    /// The tenant's id.
    public let tenantID: String
}

/// Verifies access tokens of Microsoft Entra ID: signature, issuer, audience, tenant and times, all of them or none
/// (AgentMesh wire §5, §7).
public struct EntraVerifier: Sendable {
    /// Difference of clocks that is forgiven, in seconds.
    static let leeway = 60.0
    /// Longest application id in bytes.
    static let maximumAppIDBytes = 128
    private static let scopeSuffix = "/.default"

    private let audience: String
    private let tenantID: String
    private let keys: SigningKeyCache

    /// - Parameters:
    ///   - audience: whom a token must be for. A scope such as `api://agentmesh/.default` names its resource.
    ///   - tenantID: the one tenant whose applications are believed.
    public init(audience: String, tenantID: String, keys: SigningKeyCache) {
        self.audience =
            audience.hasSuffix(Self.scopeSuffix) ? String(audience.dropLast(Self.scopeSuffix.count)) : audience
        self.tenantID = tenantID.lowercased()
        self.keys = keys
    }

    /// Where Entra publishes a tenant's signing keys.
    public static func keysURL(tenantID: String) -> String {
        "https://login.microsoftonline.com/\(tenantID)/discovery/v2.0/keys"
    }

    /// Checks a token.
    ///
    /// - Throws: ``AccessTokenError/keysUnavailable(_:)`` where nothing can be said of the token.
    public func verify(_ token: String, now: Date) async throws(AccessTokenError) -> VerifiedApplication {
        let claims = try await claims(of: token, now: now)
        guard let appID = claims.application, (1...Self.maximumAppIDBytes).contains(appID.utf8.count) else {
            throw .missing("azp")
        }
        return VerifiedApplication(appID: appID, tenantID: tenantID)
    }

    /// Checks an ID token that was asked for with `nonce`.
    public func verifyPerson(
        _ token: String, nonce: String, now: Date
    ) async throws(AccessTokenError) -> VerifiedPerson {
        let claims = try await claims(of: token, now: now)
        guard let given = claims.nonce, ConstantTime.equals(Array(given.utf8), Array(nonce.utf8)) else {
            throw .missing("nonce")
        }
        guard let subject = claims.subject, let person = VerifiedPerson(
            provider: "entra", providerID: subject, username: claims.username, email: claims.email)
        else { throw .missing("sub") }
        return person
    }

    private func claims(of token: String, now: Date) async throws(AccessTokenError) -> JSONWebToken.Claims {
        let token = try JSONWebToken(parsing: token)
        guard token.isSigned(by: try await keys.key(token.keyID, now: now)) else { throw .badSignature }
        try check(token.claims, now: now)
        return token.claims
    }

    private func check(_ claims: JSONWebToken.Claims, now: Date) throws(AccessTokenError) {
        guard let tenant = claims.tenant?.lowercased() else { throw .missing("tid") }
        guard tenant == tenantID else { throw .wrongTenant }
        // The issuer's name in tokens of version 2 and 1.
        guard let issuer = claims.issuer?.lowercased() else { throw .missing("iss") }
        guard
            issuer == "https://login.microsoftonline.com/\(tenantID)/v2.0"
                || issuer == "https://sts.windows.net/\(tenantID)/"
        else { throw .wrongIssuer }
        guard claims.audiences.contains(audience) else { throw .wrongAudience }
        let time = now.timeIntervalSince1970
        guard let expiresAt = claims.expiresAt else { throw .missing("exp") }
        guard expiresAt + Self.leeway > time else { throw .expired }
        if let notBefore = claims.notBefore, notBefore - Self.leeway > time { throw .notYetValid }
    }
}
