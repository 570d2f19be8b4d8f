import Resources

/// The kinds, where a test goes over all of them.
enum AnySpec {
    static let all: [any CustomResourceSpec.Type] = [
        KarsSandboxSpec.self, InferencePolicySpec.self, ToolPolicySpec.self, McpServerSpec.self, A2AAgentSpec.self,
        KarsMemorySpec.self, KarsEvalSpec.self, EgressApprovalSpec.self, KarsPairingSpec.self, TrustGraphSpec.self,
        KarsAuthConfigSpec.self, KarsSREActionSpec.self,
    ]

    static func type(of object: KubernetesObject) -> (any CustomResourceSpec.Type)? {
        all.first { $0.resource.kind == object.kind }
    }

    static func type(called kind: String) -> (any CustomResourceSpec.Type)? {
        all.first { $0.resource.kind == kind }
    }

    /// Reads a spec as the type has it, and gives it back as JSON.
    static func read(_ type: any CustomResourceSpec.Type, _ spec: JSONValue?, refusesUnknown: Bool = true) throws -> JSONValue {
        func read<Spec: CustomResourceSpec>(_ type: Spec.Type) throws -> JSONValue {
            try JSONValue(encoding: try Spec(reading: spec, refusesUnknown: refusesUnknown))
        }
        return try read(type)
    }
}
