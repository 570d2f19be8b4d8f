import Foundation
import Synchronization
import TestSupport
import Testing
import Transport

struct ConfigCommandTests {
    private let home = TemporaryFolder()

    private func kars(_ arguments: String...) async throws -> ChildProcess.Output {
        try await BuiltProgram.run(arguments, home: home)
    }

    private func configure(_ text: String) throws {
        try text.write(toFile: home.file("config.json"), atomically: true, encoding: .utf8)
    }

    private func stored() throws -> [String: Any] {
        let data = try Data(contentsOf: URL(filePath: home.file("config.json")))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    /// A catalogue of models as GitHub has it, on a port of its own.
    private func catalogue(
        _ body: @escaping @Sendable (Transport.HTTPRequest) -> Transport.HTTPResponse
    ) async throws -> (server: Transport.Server, loop: EventLoop) {
        let loop = try EventLoop(name: "catalogue")
        let server = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { request in body(request) })
        return (server, loop)
    }

    @Test func nothingConfiguredIsSaidAndNotMade() async throws {
        let output = try await kars("config", "show")
        #expect(output.status == 0)
        #expect(output.out.contains("Nothing is configured yet; 'kars credentials'"))
        #expect(try await kars("config", "reset").out == "nothing was configured\n")
        let model = try await kars("config", "model", "gpt-4.1")
        #expect(model.status == 1)
        #expect(model.err.contains("no provider is chosen"))
        #expect(!FileManager.default.fileExists(atPath: home.file("config.json")))
    }

    @Test func theModelInForceIsTheProvidersUntilOneIsChosen() async throws {
        try configure(#"{"provider":"foundry","endpoint":"https://x.openai.azure.com","firstRunCompleted":true}"#)
        #expect(try await kars("config", "show").out.contains("Model:       gpt-4.1\n"))
        #expect(try await kars("config", "model", "my-deployment").out == "the default model is my-deployment\n")
        let shown = try await kars("config", "show", "-o", "json")
        #expect(shown.out.contains(#""model" : "my-deployment""#))
        #expect(shown.out.contains(#""credentialStored" : false"#))
        #expect(try stored()["endpoint"] as? String == "https://x.openai.azure.com")
        let attributes = try FileManager.default.attributesOfItem(atPath: home.file("config.json"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test func aProviderOfAnotherVersionReadsAsFoundry() async throws {
        try configure(#"{"provider":"something-new","firstRunCompleted":true}"#)
        #expect(try await kars("config", "show").out.contains("Provider:    foundry\n"))
    }

    @Test func aDamagedFileIsNamedAndLeftAlone() async throws {
        try configure("{")
        let output = try await kars("config", "show")
        #expect(output.status == 1)
        #expect(output.err.contains("config.json is not a configuration of kars"))
        #expect(try String(contentsOfFile: home.file("config.json"), encoding: .utf8) == "{")
        #expect(try await kars("config", "reset").status == 0)
        #expect(!FileManager.default.fileExists(atPath: home.file("config.json")))
    }

    @Test func unusualCopilotModelsAreTakenWithAWarningAndOddNamesAreNot() async throws {
        try configure(#"{"provider":"github-copilot","firstRunCompleted":true}"#)
        let usual = try await kars("config", "model", "claude-opus-4.7")
        #expect(usual.err == "")
        let unusual = try await kars("config", "model", "gpt-9")
        #expect(unusual.status == 0)
        #expect(unusual.err.contains("'gpt-9' is not among the usual models"))
        #expect(try await kars("config", "model", "two words").status == 2)
        #expect(try await kars("config", "model").status == 2)  // nobody to pick
        #expect(try stored()["model"] as? String == "gpt-9")
    }

    @Test func gitHubModelsAreCheckedAgainstTheLiveCatalogue() async throws {
        let tokens = Mutex<[String]>([])
        let (server, loop) = try await catalogue { request in
            tokens.withLock { $0.append(request.headers["authorization"] ?? "-") }
            guard request.path == "/catalog/models" else { return .text("no", status: 404) }
            return .text(
                #"[{"id":"openai/gpt-4o-mini","capabilities":["tool-calling"]},{"id":"x/base","capabilities":[]}]"#,
                contentType: "application/json")
        }
        try configure(
            #"{"provider":"github-models","endpoint":"http://\#(server.endpoint)/inference","model":"gpt-4o-mini"}"#)
        #expect(try await kars("credentials", "set", "azure-openai-key", "a-token-of-github").status == 0)
        #expect(try await kars("config", "show").out.contains("Catalogue:   in the catalogue\n"))
        let absent = try await kars("config", "model", "gpt-9")
        #expect(absent.status == 2)
        #expect(absent.err.contains("has no 'gpt-9'"))
        let dumb = try await kars("config", "model", "x/base")
        #expect(dumb.status == 2)
        #expect(dumb.err.contains("cannot call tools"))
        #expect(try await kars("config", "model", "openai/gpt-4o-mini").status == 0)
        #expect(Set(tokens.withLock { $0 }) == ["Bearer a-token-of-github"])
        await server.close()
        loop.shutdown()
        // Without the catalogue the choice is taken, and said to be unchecked.
        let unchecked = try await kars("config", "model", "gpt-9")
        #expect(unchecked.status == 0)
        #expect(unchecked.err.contains("the model is not checked"))
        #expect(try await kars("config", "show").out.contains("not checked"))
    }

    @Test func aPersonPicksAModelFromTheList() async throws {
        try configure(#"{"provider":"github-copilot","model":"gpt-4.1","firstRunCompleted":true}"#)
        let terminal = try BuiltProgram.onTerminal(["config", "model"], home: home)
        try await terminal.expect("1  gpt-4.1")
        try await terminal.answer("Number", "99")
        try await terminal.answer("Give a number", "claude-opus-4.7")
        try await terminal.expect("the default model is claude-opus-4.7")
        #expect(await terminal.wait() == 0)
        #expect(try stored()["model"] as? String == "claude-opus-4.7")
    }

    @Test func theFirstRunsQuestionCanBeHadAgain() async throws {
        try configure(#"{"provider":"foundry","model":"m","firstRunCompleted":true}"#)
        #expect(try await kars("config", "reset", "--first-run").status == 0)
        #expect(try stored()["firstRunCompleted"] as? Bool == false)
        #expect(try stored()["model"] as? String == "m")
    }
}
