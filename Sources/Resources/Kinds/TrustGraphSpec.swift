/// Whom agents vouch for (resources §11). Whether an edge's signature holds is told when it is compiled, not here.
public struct TrustGraphSpec: CustomResourceSpec {
    public static let resource = KubernetesResource.trustGraphs

    public struct Vertex: Codable, Sendable, Equatable {
        public var id: String
        public var alg: A2AAgentSpec.Algorithm
        public var publicKeyB64u: String
        public var label: String?
    }

    public struct Edge: Codable, Sendable, Equatable {
        public var from: String
        public var to: String
        /// 0 to 1000.
        public var score: Int64
        /// Seconds since 1970.
        public var issuedAt: Int64
        /// Seconds since 1970.
        public var notAfter: Int64?
        public var signature: String
        public var reason: String?
    }

    public var vertices: [Vertex]
    public var edges: [Edge]?

    public func check(_ found: inout SpecProblems) {
        found.expect(!vertices.isEmpty, "spec.vertices", "must have a vertex")
        for (index, edge) in (edges ?? []).enumerated() {
            found.number(edge.score, "spec.edges[\(index)].score", 0...1000)
            found.expect(
                (edge.notAfter ?? .max) >= edge.issuedAt, "spec.edges[\(index)].notAfter", "must not be before issuedAt")
        }
    }
}
