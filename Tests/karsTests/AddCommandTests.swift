import Foundation
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
