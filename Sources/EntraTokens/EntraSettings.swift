import FoundationEssentials
import MeshIdentity
import Transport

/// Whose applications a relay or a registry believes (AgentMesh wire §5, §7): `AGENTMESH_ENTRA_AUDIENCE` and
/// `AGENTMESH_ENTRA_TENANT_ID`.
public struct EntraSettings: Sendable {
    let audience: String
    let tenantID: String
    public let keysURL: ServiceURL
    let tls: ClientTLS

    /// - Parameters:
    ///   - audience: whom tokens must be for, as in `api://agentmesh/.default`.
    ///   - tenantID: GUID or domain of the tenant.
    ///   - keysURL: where the signing keys are; nil for Entra's own place.
    ///   - tls: whom that place's certificate must come from.
    /// - Throws: ``EntraSettingsError``, also for keys that would come unprotected over a network.
    public init(
        audience: String, tenantID: String, keysURL: ServiceURL? = nil, tls: ClientTLS = ClientTLS()
    ) throws(EntraSettingsError) {
        guard !audience.isEmpty, audience.utf8.count <= 512 else {
            throw EntraSettingsError("the Entra audience has 1 to 512 bytes")
        }
        self.audience = audience
        self.tenantID = try Self.checked(tenantID: tenantID)
        self.tls = tls
        if let keysURL {
            self.keysURL = keysURL
        } else {
            do {
                self.keysURL = try ServiceURL(parsing: EntraVerifier.keysURL(tenantID: tenantID))
            } catch {
                throw EntraSettingsError("\(error)")
            }
        }
        guard self.keysURL.isSecure || self.keysURL.isOnThisMachine else {
            throw EntraSettingsError("the Entra signing keys must come over https")
        }
    }

    /// The id becomes part of URLs and of issuers' names.
    public static func checked(tenantID: String) throws(EntraSettingsError) -> String {
        let isName = tenantID.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isName, (1...128).contains(tenantID.utf8.count) else {
            throw EntraSettingsError("the Entra tenant id is a GUID or a domain")
        }
        return tenantID
    }

    /// Verifies with keys fetched over `loop`.
    public func verifier(on loop: EventLoop) -> EntraVerifier {
        Self.verifier(audience: audience, tenantID: tenantID, keysURL: keysURL, tls: tls, on: loop)
    }

    /// Verifies tokens for `audience` with a tenant's keys, fetched over `loop`.
    public static func verifier(
        audience: String, tenantID: String, keysURL: ServiceURL, tls: ClientTLS, on loop: EventLoop
    ) -> EntraVerifier {
        let client = HTTPClient(
            loop: loop, tls: tls, timeout: .seconds(10), maximumBodyBytes: SigningKeyCache.maximumDocumentBytes)
        let request = HTTPClientRequest(url: keysURL, headers: ["accept": "application/json"])
        let keys = SigningKeyCache {
            let answer = try await client.send(request)
            guard answer.status == 200 else { throw KeysRefused(status: answer.status) }
            return answer.body
        }
        return EntraVerifier(audience: audience, tenantID: tenantID, keys: keys)
    }

    private struct KeysRefused: Error, CustomStringConvertible {
        let status: Int
        var description: String { "their server answers \(status)" }
    }
}

/// Settings that would believe anybody, or cannot work.
public struct EntraSettingsError: Error, CustomStringConvertible, Equatable {
    public let description: String

    init(_ description: String) { self.description = description }
}

extension ServiceURL {
    /// Whether what is sent there stays on this machine.
    public var isOnThisMachine: Bool {
        switch place {
        case .unix: true
        case .tcp(let host, let port): Endpoint.tcp(host: host, port: port).isLoopback
        }
    }
}
