/// What runs in a sandbox: a kind, and the one member that the kind calls for (resources §3, `runtime`).
public struct SandboxRuntime: Codable, Sendable, Equatable {
    public enum Kind: String, ClosedChoice {
        case openClaw = "OpenClaw"
        case openAIAgents = "OpenAIAgents"
        case microsoftAgentFramework = "MicrosoftAgentFramework"
        case semanticKernel = "SemanticKernel"
        case langGraph = "LangGraph"
        case anthropic = "Anthropic"
        case pydanticAI = "PydanticAi"
        case hermes = "Hermes"
        case byo = "BYO"
    }

    public struct OpenClaw: Codable, Sendable, Equatable {
        public var version: String?
        public var image: String?
        public var config: JSONValue?
        public var extraEnv: [String: String]?
    }

    /// Where the code of an agent comes from: one of both.
    public struct Code: Codable, Sendable, Equatable {
        public struct Image: Codable, Sendable, Equatable {
            public var image: String
        }

        public struct Repository: Codable, Sendable, Equatable {
            public var url: String
            public var ref: String?
            public var path: String?
        }

        public var oci: Image?
        public var git: Repository?
    }

    /// A framework that knows one language, in a version.
    public struct Python: Codable, Sendable, Equatable {
        public var pythonVersion: String?
        public var agentCode: Code?
        public var entrypoint: [String]?
        public var extraEnv: [String: String]?
    }

    /// A framework that knows several languages.
    public struct Framework<Language: ClosedChoice>: Codable, Sendable, Equatable {
        /// The first one where there is none.
        public var language: Language?
        public var agentCode: Code?
        public var entrypoint: [String]?
        public var extraEnv: [String: String]?
    }

    public enum AgentFrameworkLanguage: String, ClosedChoice {
        case python
    }

    public enum SemanticKernelLanguage: String, ClosedChoice {
        case python, dotnet, java
    }

    public enum LangGraphLanguage: String, ClosedChoice {
        case python, typescript
    }

    public struct Hermes: Codable, Sendable, Equatable {
        public var version: String?
        public var agentCode: Code?
        public var entrypoint: [String]?
        public var extraEnv: [String: String]?
    }

    public enum Contract: String, ClosedChoice {
        case v1
    }

    /// An image of one's own that keeps the runtime contract.
    public struct OwnImage: Codable, Sendable, Equatable {
        public var image: String
        public var contractVersion: Contract
        public var command: [String]?
        public var args: [String]?
        public var env: [EnvironmentVariable]?
    }

    public var kind: Kind
    public var openclaw: OpenClaw?
    public var openaiAgents: Python?
    public var microsoftAgentFramework: Framework<AgentFrameworkLanguage>?
    public var semanticKernel: Framework<SemanticKernelLanguage>?
    public var langGraph: Framework<LangGraphLanguage>?
    public var anthropic: Python?
    public var pydanticAi: Python?
    public var hermes: Hermes?
    public var byo: OwnImage?

    /// The members that stand there, by the kind each belongs to.
    private var members: [Kind] {
        let all: [(Kind, Bool)] = [
            (.openClaw, openclaw != nil), (.openAIAgents, openaiAgents != nil),
            (.microsoftAgentFramework, microsoftAgentFramework != nil), (.semanticKernel, semanticKernel != nil),
            (.langGraph, langGraph != nil), (.anthropic, anthropic != nil), (.pydanticAI, pydanticAi != nil),
            (.hermes, hermes != nil), (.byo, byo != nil),
        ]
        return all.filter(\.1).map(\.0)
    }

    func check(_ found: inout SpecProblems) {
        found.expect(members == [kind], "spec.runtime", "must have the member of its kind \(kind.rawValue), and no other")
        let codes = [
            ("openaiAgents", openaiAgents?.agentCode), ("microsoftAgentFramework", microsoftAgentFramework?.agentCode),
            ("semanticKernel", semanticKernel?.agentCode), ("langGraph", langGraph?.agentCode),
            ("anthropic", anthropic?.agentCode), ("pydanticAi", pydanticAi?.agentCode), ("hermes", hermes?.agentCode),
        ]
        for (name, code) in codes {
            guard let code else { continue }
            found.expect(
                (code.oci == nil) != (code.git == nil), "spec.runtime.\(name).agentCode", "must have one of oci and git")
        }
    }
}

/// A variable of a container, as Kubernetes has it.
public struct EnvironmentVariable: Codable, Sendable, Equatable {
    public struct Key: Codable, Sendable, Equatable {
        public var name: String?
        public var key: String
        public var optional: Bool?
    }

    public struct Field: Codable, Sendable, Equatable {
        public var apiVersion: String?
        public var fieldPath: String
    }

    public struct ResourceField: Codable, Sendable, Equatable {
        public var containerName: String?
        public var resource: String
        public var divisor: NumberOrText?
    }

    public struct Source: Codable, Sendable, Equatable {
        public var secretKeyRef: Key?
        public var configMapKeyRef: Key?
        public var fieldRef: Field?
        public var resourceFieldRef: ResourceField?
    }

    public var name: String
    public var value: String?
    public var valueFrom: Source?
}
