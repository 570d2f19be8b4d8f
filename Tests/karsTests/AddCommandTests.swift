import Foundation
import Resources
import Sandboxes
import TestSupport
import Testing

@testable import MeshNode

struct AddCommandTests {
    @Test func theNodeIsToldWhatWasChosen() async throws {
        let node = try await ScriptedNode()
        node.on(CreateSandbox.self) { ScriptedNode.sandbox($0.sandboxName) }
        let first = try await node.kars(
            "add", "helper", "--runtime", "byo", "--no-governance", "--trust-threshold", "700", "--skills",
            "browser,github")
        #expect(first.status == 0)
        #expect(first.out.contains("helper is running\n"))
        #expect(try await node.kars("add", "own", "--runtime", "byo", "--byo-image", "me/own:1", "--model", "phi").status == 0)
        #expect(try await node.kars("add", "claw").status == 0)
        #expect(try await node.kars("add", "graph", "--runtime", "lang-graph").status == 0)
        let requests = node.requests(CreateSandbox.self)
        #expect(requests.map(\.runtime) == ["byo", "byo", "openclaw", "langgraph"])
        #expect(requests.map(\.image) == [nil, "me/own:1", "kars-sandbox:dev", "kars-runtime-langgraph:dev"])
        #expect(
            requests[0].settings
                == AgentSettings(
                    model: "gpt-4.1", isolation: "enhanced", skills: ["browser", "github"], governance: false,
                    trustThreshold: 700))
        #expect(requests[1].settings?.model == "phi")
        await node.close()
    }

    @Test func aDryRunPrintsTheObjectAndMakesNothing() async throws {
        let node = try await ScriptedNode()
        let arguments = [
            "add", "reviewer", "--runtime", "byo", "--byo-image", "me/own:1", "--model", "phi", "--no-governance",
            "--trust-threshold", "700", "--skills", "browser", "--dry-run",
        ]
        let yaml = try await node.kars(arguments)
        #expect(yaml.status == 0)
        let documents = try YAML.documents(yaml.out)
        try #require(documents.count == 1)
        let object = documents[0]
        #expect(object[path: ["apiVersion"]]?.stringValue == "kars.azure.com/v1alpha1")
        #expect(object[path: ["kind"]]?.stringValue == "KarsSandbox")
        #expect(object[path: ["metadata", "name"]]?.stringValue == "reviewer")
        #expect(object[path: ["metadata", "namespace"]]?.stringValue == "kars-system")
        #expect(object[path: ["metadata", "labels", "kars.azure.com/sandbox"]]?.stringValue == "reviewer")
        let spec = try #require(object["spec"])
        #expect(spec[path: ["runtime", "kind"]]?.stringValue == "BYO")
        #expect(spec[path: ["runtime", "byo", "image"]]?.stringValue == "me/own:1")
        #expect(spec[path: ["runtime", "byo", "contractVersion"]]?.stringValue == "v1")
        #expect(
            spec[path: ["runtime", "byo", "env"]]?.arrayValue?.contains(["name": "KARS_MODEL", "value": "phi"]) == true)
        #expect(spec[path: ["sandbox", "isolation"]]?.stringValue == "enhanced")
        #expect(spec["governance"] == ["enabled": false, "trustThreshold": 700])
        #expect(spec[path: ["inferenceRef", "name"]]?.stringValue == "reviewer-inference")
        // What keeps a controller from running it is said beside it.
        #expect(yaml.err.contains("runtime.byo.command"))
        let json = try await node.kars(arguments + ["-o", "json"])
        #expect(try JSONValue(decoding: Array(json.out.utf8)) == object)
        #expect(node.requests(CreateSandbox.self).isEmpty)
        await node.close()
    }

    @Test func theReferenceAgentIsWhatAControllerRuns() async throws {
        let output = try await BuiltProgram.run(["add", "helper", "--runtime", "byo", "--dry-run"])
        #expect(output.status == 0)
        #expect(output.err == "")
        #expect(try YAML.documents(output.out).first?[path: ["spec", "runtime", "byo", "image"]]?.stringValue == "kars:dev")
    }

    @Test(arguments: [
        ("openclaw", "OpenClaw", "openclaw"), ("hermes", "Hermes", "hermes"),
        ("openai-agents", "OpenAIAgents", "openaiAgents"),
        ("microsoft-agent-framework", "MicrosoftAgentFramework", "microsoftAgentFramework"),
        ("lang-graph", "LangGraph", "langGraph"), ("anthropic", "Anthropic", "anthropic"),
        ("pydantic-ai", "PydanticAi", "pydanticAi"), ("byo", "BYO", "byo"),
    ])
    func eachRuntimeHasItsKindAndItsMemberAlone(_ runtime: String, _ kind: String, _ member: String) async throws {
        let output = try await BuiltProgram.run(["add", "a", "--runtime", runtime, "--dry-run"])
        let found = try #require(try YAML.documents(output.out).first?[path: ["spec", "runtime"]]?.objectValue)
        #expect(found["kind"]?.stringValue == kind)
        #expect(Set(found.keys) == ["kind", member])
    }

    @Test func aDryRunRefusesWhatARealOneWould() async throws {
        for (arguments, reason) in [
            (["A"], "a sandbox in a cluster is named"), (["a", "--isolation", "confidential"], "Kata"),
            (["a", "--runtime", "hermes", "--image", "x:1"], "names no image"), (["a", "--channels", "slack"], "slack-token"),
        ] {
            let output = try await BuiltProgram.run(["add"] + arguments + ["--dry-run"])
            #expect(output.status == 2)
            #expect(output.out == "")
            #expect(output.err.contains(reason), "\(output.err)")
            #expect(output.err.split(separator: "\n").count == 1)
        }
    }

    @Test func aDryRunPrintsNoCredential() async throws {
        let output = try await BuiltProgram.run([
            "add", "a", "--runtime", "byo", "--channels", "slack", "--slack-token", "xoxb-very-secret", "--dry-run",
        ])
        #expect(output.status == 0)
        #expect(output.out.contains("slack"))
        #expect(!(output.out + output.err).contains("very-secret"))
    }

    @Test(arguments: [
        (["--isolation", "confidential"], "Kata"), (["--token-budget-daily", "100"], "no inference router"),
        (["--token-budget-per-request", "100"], "no inference router"), (["--learn-egress"], "no network"),
        (["--agent-instructions", "be kind"], "Foundry"), (["--policy-profile", "strict"], "no policy profiles"),
        (["--maf-language", "dotnet"], "--maf-language"), (["--byo-image", "x"], "--byo-image is for --runtime byo"),
        (["--runtime", "cobol"], "--runtime"), (["--channels", "slack"], "credentials set slack-token"),
    ])
    func whatCannotWorkSaysWhatIsMissing(_ arguments: [String], _ reason: String) async throws {
        let output = try await BuiltProgram.run(["add", "a"] + arguments)
        #expect(output.status == 2)
        #expect(output.err.contains(reason), "\(output.err)")
        #expect(output.err.split(separator: "\n").count == 1)
    }
}
