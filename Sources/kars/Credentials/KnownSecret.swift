/// A credential that kars knows by name (behaviours §1).
struct KnownSecret: Sendable, Equatable {
    /// Its name in `secrets.json`, and as an option where there is one.
    let key: String
    /// The variable that programs look for it in. Inside a sandbox a file has this name.
    let variable: String
    /// What it is, for questions and help.
    let title: String
    /// The channel it opens.
    var channel: Channel?
    /// Whether the channel works without it.
    var isOptional = false

    /// Ways to talk to an agent from outside.
    enum Channel: String, CaseIterable, Sendable {
        case telegram, slack, discord, whatsapp
    }

    /// The key of the inference provider. Agents never get it.
    static let provider = KnownSecret(
        key: "azure-openai-key", variable: "AZURE_OPENAI_API_KEY", title: "Credential of the inference provider")

    /// What an agent may be given, in the order of help.
    static let forAgents = [
        KnownSecret(
            key: "telegram-token", variable: "TELEGRAM_BOT_TOKEN", title: "Telegram bot token, from BotFather",
            channel: .telegram),
        KnownSecret(
            key: "telegram-allow-from", variable: "TELEGRAM_ALLOW_FROM",
            title: "Telegram user IDs that may write to it, apart by commas", channel: .telegram, isOptional: true),
        KnownSecret(
            key: "slack-token", variable: "SLACK_BOT_TOKEN", title: "Slack bot OAuth token", channel: .slack),
        KnownSecret(
            key: "discord-token", variable: "DISCORD_BOT_TOKEN", title: "Discord bot token", channel: .discord),
        KnownSecret(key: "brave-api-key", variable: "BRAVE_API_KEY", title: "Brave Search API key"),
        KnownSecret(key: "tavily-api-key", variable: "TAVILY_API_KEY", title: "Tavily search API key"),
        KnownSecret(key: "exa-api-key", variable: "EXA_API_KEY", title: "Exa search API key"),
        KnownSecret(
            key: "firecrawl-api-key", variable: "FIRECRAWL_API_KEY", title: "Firecrawl web scraping API key"),
        KnownSecret(key: "perplexity-api-key", variable: "PERPLEXITY_API_KEY", title: "Perplexity API key"),
        KnownSecret(
            key: "openai-api-key", variable: "OPENAI_API_KEY", title: "OpenAI API key, beside the provider's"),
    ]

    static let all = [provider] + forAgents

    /// The secret that a stored key is, also a labelled variant such as `telegram-token.cloud`.
    static func of(_ key: String) -> KnownSecret? {
        let plain = key.prefix { $0 != "." }
        return all.first { $0.key == plain }
    }

    /// The value as programs want it.
    func normalised(_ value: String) -> String {
        // People copy the token as it stands in a URL of the Bot API.
        key == "telegram-token" && value.hasPrefix("bot") ? String(value.dropFirst(3)) : value
    }
}
