/// Who answers an agent's model calls (behaviours §4.4).
enum InferenceProvider: String, Codable, CaseIterable, Sendable {
    case gitHubCopilot = "github-copilot"
    case foundry
    case gitHubModels = "github-models"

    /// As people know it.
    var title: String {
        switch self {
        case .gitHubCopilot: "GitHub Copilot"
        case .foundry: "Azure AI Foundry / Azure OpenAI"
        case .gitHubModels: "GitHub Models"
        }
    }

    /// What one needs to use it.
    var need: String {
        switch self {
        case .gitHubCopilot: "a Copilot seat; you sign in with a browser"
        case .foundry: "your resource's endpoint and key"
        case .gitHubModels: "a GitHub token with models:read"
        }
    }

    /// Where it is called; nil where everybody has an endpoint of their own.
    var endpoint: String? {
        switch self {
        case .gitHubCopilot: "https://api.githubcopilot.com"
        case .foundry: nil
        case .gitHubModels: "https://models.github.ai/inference"
        }
    }

    var defaultModel: String {
        switch self {
        case .gitHubCopilot: "claude-opus-4.7"
        case .foundry: "gpt-4.1"
        case .gitHubModels: "gpt-4o-mini"
        }
    }

    /// Models that a Copilot seat usually has; which ones a seat really has is only known to GitHub.
    static let copilotModels = [
        "claude-opus-4.7", "claude-opus-4.5", "claude-sonnet-4.5", "claude-haiku-4.5", "gpt-5", "gpt-5-mini",
        "gpt-4.1", "gpt-4o", "gemini-2.5-pro", "o3", "o4-mini",
    ]
}
