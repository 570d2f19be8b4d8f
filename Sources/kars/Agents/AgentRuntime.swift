/// What runs inside a sandbox, as `--runtime` names it (behaviours §2).
enum AgentRuntime: String, CaseIterable, Sendable {
    case openClaw = "openclaw"
    case hermes
    case openAIAgents = "openai-agents"
    case microsoftAgentFramework = "microsoft-agent-framework"
    case langGraph = "langgraph"
    /// The same by the name that other tools give it.
    case langGraphAlias = "lang-graph"
    case anthropic
    case pydanticAI = "pydantic-ai"
    case byo

    /// The name that is kept.
    var kind: String { self == .langGraphAlias ? AgentRuntime.langGraph.rawValue : rawValue }

    /// The image it needs on this machine; nil for the one that is brought along.
    var image: String? {
        switch self {
        case .openClaw: "kars-sandbox:dev"
        case .hermes: "kars-sandbox-hermes:dev"
        case .openAIAgents: "kars-runtime-openai-agents:dev"
        case .microsoftAgentFramework: "kars-runtime-maf-python:dev"
        case .langGraph, .langGraphAlias: "kars-runtime-langgraph:dev"
        case .anthropic: "kars-runtime-anthropic:dev"
        case .pydanticAI: "kars-runtime-pydantic-ai:dev"
        case .byo: nil
        }
    }
}
