/// An agent of somebody else that may call in, and the keys it signs with (resources §7).
public struct A2AAgentSpec: CustomResourceSpec {
    public static let resource = KubernetesResource.a2aAgents

    public enum Algorithm: String, ClosedChoice {
        case edDSA = "EdDSA"
    }

    public struct SigningKey: Codable, Sendable, Equatable {
        public var kid: String
        public var alg: Algorithm
        /// 32 bytes, base64url without padding.
        public var publicKeyB64u: String
        /// Seconds since 1970.
        public var notAfter: Int64?

        public init(kid: String, alg: Algorithm, publicKeyB64u: String, notAfter: Int64?) {
            self.kid = kid
            self.alg = alg
            self.publicKeyB64u = publicKeyB64u
            self.notAfter = notAfter
        }
    }

    public struct Trust: Codable, Sendable, Equatable {
        public var requireSignedRequests: Bool?
        public var minSignaturesRequired: Int64?
        public var maxClockSkewSeconds: Int64?
    }

    public enum PeerKind: String, ClosedChoice {
        case inCluster = "in-cluster"
        case external
    }

    public struct Peer: Codable, Sendable, Equatable {
        public var label: String
        public var kind: PeerKind
        /// Of a peer in the cluster.
        public var agentRef: String?
        /// Of an external peer.
        public var endpointUrl: String?
        /// Of an external peer.
        public var pinnedKid: String?
    }

    public struct PolicyReferences: Codable, Sendable, Equatable {
        public var toolPolicy: String?
    }

    public var endpointUrl: String
    public var signingKeys: [SigningKey]
    public var productionMode: Bool?
    public var capabilities: [String]?
    public var description: String?
    public var displayName: String?
    public var trust: Trust?
    public var federation: [Peer]?
    public var policyRefs: PolicyReferences?

    public func check(_ found: inout SpecProblems) {
        found.text(endpointUrl, "spec.endpointUrl", .webAddress)
        found.expect(
            productionMode != true || endpointUrl.hasPrefix("https://"), "spec.endpointUrl",
            "must begin with https:// in production mode")
        found.expect(!signingKeys.isEmpty, "spec.signingKeys", "must have a key")
        for (index, key) in signingKeys.enumerated() {
            found.text(key.kid, "spec.signingKeys[\(index)].kid", .filled)
            found.text(key.publicKeyB64u, "spec.signingKeys[\(index)].publicKeyB64u", .publicKey)
        }
        found.unique(signingKeys.map(\.kid)) { "spec.signingKeys[\($0)].kid" }
        found.number(trust?.minSignaturesRequired, "spec.trust.minSignaturesRequired", .unsigned32)
        found.number(trust?.maxClockSkewSeconds, "spec.trust.maxClockSkewSeconds", .unsigned64)
        for (index, peer) in (federation ?? []).enumerated() {
            let path = "spec.federation[\(index)]"
            switch peer.kind {
            case .inCluster:
                found.expect(
                    peer.agentRef != nil && peer.endpointUrl == nil, path, "must name an agentRef, and no endpointUrl")
            case .external:
                found.expect(
                    peer.agentRef == nil && peer.endpointUrl != nil && peer.pinnedKid != nil, path,
                    "must name an endpointUrl and a pinnedKid, and no agentRef")
            }
        }
        found.text(policyRefs?.toolPolicy, "spec.policyRefs.toolPolicy", .objectName)
    }
}
