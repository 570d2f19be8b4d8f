import Foundation
import TestSupport
import Testing

struct CredentialsCommandTests {
    private let home = TemporaryFolder()

    private func kars(_ arguments: String..., input: String? = nil) async throws -> ChildProcess.Output {
        try await BuiltProgram.run(arguments, home: home, input: input)
    }

    private func file(_ name: String) throws -> String {
        try String(contentsOfFile: home.file(name), encoding: .utf8)
    }

    @Test func whatIsStoredIsSealedAndShownMasked() async throws {
        let set = try await kars("credentials", "set", "brave-api-key", "BSA-0123456789abcdef")
        #expect(set.status == 0)
        #expect(set.out == "stored brave-api-key\n")
        #expect(try await kars("credentials", "set", "slack-token", "short").status == 0)
        let list = try await kars("credentials", "list")
        #expect(
            list.out == """
                KEY             VALUE          VARIABLE
                brave-api-key   ••••••••cdef   BRAVE_API_KEY
                slack-token     ••••••••       SLACK_BOT_TOKEN

                """)
        let json = try await kars("credentials", "list", "-o", "json")
        #expect(json.out.contains(#""masked" : "••••••••cdef""#))
        let sealed = try file("secrets.json")
        #expect(!sealed.contains("BSA") && !sealed.contains("brave") && !sealed.contains("short"))
        let attributes = try FileManager.default.attributesOfItem(atPath: home.file("secrets.json"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(try await kars("credentials", "remove", "slack-token").out == "removed slack-token\n")
        #expect(try await kars("credentials", "remove", "slack-token").status == 1)
        #expect(!(try await kars("credentials", "list").out.contains("slack")))
    }

    @Test func valuesComeFromFilesAndStandardInputToo() async throws {
        try "from-a-file-1234\n".write(toFile: home.file("key"), atomically: true, encoding: .utf8)
        #expect(try await kars("credentials", "set", "exa-api-key", "--from-file", home.file("key")).status == 0)
        #expect(try await kars("credentials", "set", "tavily-api-key", input: "piped-value-5678\n").status == 0)
        #expect(try await kars("credentials", "set", "openai-api-key", "-", input: "dashed-value-9012").status == 0)
        let list = try await kars("credentials", "list").out
        for ending in ["1234", "5678", "9012"] { #expect(list.contains("••••••••" + ending)) }
    }

    @Test func wrongValuesAreRefusedBeforeAnythingIsStored() async throws {
        #expect(try await kars("credentials", "set", "exa-api-key", input: " \n").status == 2)
        #expect(try await kars("credentials", "set", "exa-api-key", "--from-file", home.file("none")).status == 2)
        #expect(try await kars("credentials", "set", "exa-api-key", "x", "--from-file", "y").status == 2)
        #expect(try await kars("credentials", "set", "Exa Key", "x").status == 2)
        #expect(try await kars("credentials", "set", "exa-api-key", String(repeating: "x", count: 20_000)).status == 2)
        #expect(try await kars("credentials").status == 2)  // nobody to ask
        #expect(!FileManager.default.fileExists(atPath: home.file("secrets.json")))
    }

    @Test func unknownKeysAreStoredWithAWarningAndLabelsAreKnown() async throws {
        let unknown = try await kars("credentials", "set", "my-own", "value")
        #expect(unknown.status == 0)
        #expect(unknown.err.contains("warning: kars itself knows no credential called 'my-own'"))
        let labelled = try await kars("credentials", "set", "telegram-token.cloud", "bot123456:ABC-DEF")
        #expect(labelled.err == "")
        let list = try await kars("credentials", "list", "-o", "json").out
        #expect(list.contains(#""variable" : "TELEGRAM_BOT_TOKEN""#))
    }

    @Test func plainFilesOfAnotherKarsAreSealedAtFirstSight() async throws {
        try #"{"telegram-token":"111111:AAAA-BBBB","slack-token":""}"#
            .write(toFile: home.file("secrets.json"), atomically: true, encoding: .utf8)
        try "an-old-provider-key\n".write(toFile: home.file("credentials"), atomically: true, encoding: .utf8)
        let list = try await kars("credentials", "list").out
        #expect(list.contains("telegram-token     ••••••••BBBB"))
        #expect(list.contains("azure-openai-key   ••••••••-key"))
        #expect(!list.contains("slack"))
        #expect(!(try file("secrets.json").contains("AAAA")))
        #expect(!FileManager.default.fileExists(atPath: home.file("credentials")))
        #expect(try await kars("credentials", "list").out == list)
    }

    @Test func damageIsNamedAndNothingIsOverwritten() async throws {
        _ = try await kars("credentials", "set", "exa-api-key", "value-of-exa")
        let whole = try file("secrets.json")
        // The last letter of the ciphertext; the form stays.
        let end = try #require(whole.range(of: #""ciphertext" : ""#)).upperBound
        let other = whole[end] == "A" ? "B" : "A"
        let damaged = whole[..<end] + other + whole[whole.index(after: end)...]
        try String(damaged).write(toFile: home.file("secrets.json"), atomically: true, encoding: .utf8)
        let output = try await kars("credentials", "set", "slack-token", "x")
        #expect(output.status == 1)
        #expect(output.err.contains("changed or the key is wrong"))
        #expect(try file("secrets.json") == String(damaged))
    }

    @Test func twoCommandsAtOnceLoseNothing() async throws {
        try await withThrowingTaskGroup(of: Int32.self) { group in
            for number in 0..<6 {
                group.addTask { try await kars("credentials", "set", "key-\(number)", "value \(number)").status }
            }
            for try await status in group { #expect(status == 0) }
        }
        let list = try await kars("credentials", "list").out
        for number in 0..<6 { #expect(list.contains("key-\(number) ")) }
    }

    @Test func aTypedValueIsNotShown() async throws {
        let terminal = try BuiltProgram.onTerminal(["credentials", "set", "telegram-token"], home: home)
        try await terminal.expect("Telegram bot token, from BotFather (not shown): ")
        #expect(!terminal.echoes)
        terminal.type("\n")
        try await terminal.expect("It cannot be empty")
        try await terminal.expect("(not shown): ")
        terminal.type("bot424242:secret\n")
        #expect(await terminal.wait() == 0)
        #expect(!terminal.screen.contains("secret"))
        #expect(terminal.screen.contains("stored telegram-token"))
        #expect(try await kars("credentials", "list").out.contains("••••••••cret"))
    }

    @Test func ctrlCGivesUpWithoutStoring() async throws {
        let terminal = try BuiltProgram.onTerminal(["credentials", "set", "slack-token"], home: home)
        try await terminal.expect("(not shown): ")
        terminal.type("half\u{3}")
        #expect(await terminal.wait() == 1)
        #expect(terminal.screen.contains("Given up"))
        #expect(try await kars("credentials", "list").out.contains("nothing is stored"))
    }

    @Test func theGuideStoresProviderAndWhatIsTyped() async throws {
        let terminal = try BuiltProgram.onTerminal(["credentials"], home: home)
        try await terminal.answer("Number [1]: ", "2")
        try await terminal.answer("Endpoint", "nonsense")
        try await terminal.answer("An endpoint is a URL", "http://far.example/")
        try await terminal.answer("needs https://", "https://me.openai.azure.com")
        try await terminal.answer("API key (not shown): ", "the-key-of-foundry")
        try await terminal.answer("Model [gpt-4.1]: ", "")
        try await terminal.expect("stored the provider")
        try await terminal.answer("Telegram bot token", "bot1:token-of-telegram")
        for known in ["Telegram user IDs", "Slack", "Discord", "Brave", "Tavily", "Exa", "Firecrawl", "Perplexity"] {
            try await terminal.answer(known, "")
        }
        try await terminal.answer("OpenAI API key", "")
        #expect(await terminal.wait() == 0)
        #expect(!terminal.screen.contains("the-key-of-foundry"))
        let list = try await kars("credentials", "list").out
        #expect(list.contains("azure-openai-key   ••••••••ndry"))
        #expect(list.contains("telegram-token     ••••••••gram"))
        let shown = try await kars("config", "show").out
        #expect(shown.contains("https://me.openai.azure.com") && shown.contains("Credential:  stored"))
        #expect(!(try file("config.json").contains("the-key")))
    }
}
