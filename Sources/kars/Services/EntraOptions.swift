import CommandTree
import EntraTokens

/// The options that say whose Entra access tokens a service believes, under the variables of the published servers.
enum EntraOptions {
    /// - Parameter audience: help for what tokens of the audience do.
    static func all(audience: String) -> [Option] {
        [
            .value("entra-audience", "audience", help: audience, environment: "AGENTMESH_ENTRA_AUDIENCE"),
            .value(
                "entra-tenant", "tenant", help: "Entra tenant the tokens must come from",
                environment: "AGENTMESH_ENTRA_TENANT_ID"),
        ]
    }

    /// What was given; nil for no audience.
    ///
    /// - Parameter other: an option that uses the tenant as well, so that it may stand without an audience.
    static func settings(_ invocation: Invocation, other: String? = nil) throws(UsageError) -> EntraSettings? {
        switch (invocation.value("entra-audience"), invocation.value("entra-tenant")) {
        case (let audience?, let tenant?):
            do { return try EntraSettings(audience: audience, tenantID: tenant) } catch {
                throw .refused("\(error)")
            }
        case (nil, let tenant?):
            if let other {
                if invocation.value(other) != nil { return nil }
                throw .refused("--entra-tenant \(tenant) needs --entra-audience, --\(other) or both")
            }
            throw .refused("--entra-tenant \(tenant) needs --entra-audience")
        case (_?, nil): throw .refused("--entra-audience needs --entra-tenant")
        case (nil, nil): return nil
        }
    }
}
