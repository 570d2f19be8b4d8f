import CommandTree

/// The options that `kars dev` and `kars add` share: channels, skills and their credentials.
enum AgentOptions {
    static let skills = ["browser", "github", "summarize", "weather"]
    static let policies = ["minimal", "developer", "web", "azure"]

    static let channels = Option.list(
        "channels", "channels",
        help: "Ways to talk to it from outside: telegram, slack, discord, whatsapp; telegram.cloud takes the token "
            + "stored as telegram-token.cloud")

    static let skillList = Option.list("skills", "skills", help: "What it can do beside talking", allowed: skills)

    /// One option for each credential an agent can be given. The words of a command line can be seen by other users;
    /// what is stored with `kars credentials` is used without naming it.
    static let credentials = KnownSecret.forAgents.map { known in
        Option.value(
            known.key, known.key.hasSuffix("-token") ? "token" : known.key.hasSuffix("-from") ? "ids" : "key",
            help: known.title, defaultNote: "the stored one")
    }
}
