import Foundation
import Resources
import TestSupport
import Testing

/// `kars toolpolicy`, `inferencepolicy`, `mcp`, `memory` and `a2a-agent`, as far as they come without a cluster: what they
/// would apply. With a cluster: Tests/Scripts/kinds-test.sh.
struct KindCommandTests {
    /// What a command line would apply.
    private func object(_ arguments: [String], input: String? = nil) async throws -> (JSONValue, ChildProcess.Output) {
        let output = try await BuiltProgram.run(arguments + ["--dry-run", "-o", "json"], input: input)
        try #require(output.status == 0, "\(output.err)")
        return (try JSONValue(decoding: Array(output.out.utf8)), output)
    }

    @Test func aToolPolicySaysWhatItsOptionsSay() async throws {
        let (policy, _) = try await object([
            "tp", "apply", "payments", "-n", "kars-system", "--tool", "send-payment", "--sandbox-label", "team=blue",
            "--sandbox-label", "tier=a=b", "--rps", "10", "--burst", "20", "--window", "1m", "--daily-cap", "USD 500.00",
            "--per-transfer-cap", "USD 100.00", "--counterparty", "shop", "--counterparty", "Bar, Inc",
            "--approval-mode", "aboveThreshold", "--approval-threshold", "USD 50.00",
        ])
        #expect(policy["kind"] == "ToolPolicy" && policy["apiVersion"] == "kars.azure.com/v1alpha1")
        #expect(policy["metadata"] == ["name": "payments", "namespace": "kars-system"])
        #expect(policy["spec"] == [
            "appliesTo": ["tool": "send-payment", "sandboxMatchLabels": ["team": "blue", "tier": "a=b"]],
            "rateLimit": ["rps": 10, "burst": 20, "window": "1m"],
            "commerce": [
                "dailyCap": "USD 500.00", "perTransferCap": "USD 100.00", "counterpartyAllowlist": ["shop", "Bar, Inc"],
            ],
            "approval": ["mode": "aboveThreshold", "threshold": "USD 50.00"],
        ])
    }

    @Test func anInferencePolicySaysWhatItsOptionsSay() async throws {
        let (policy, _) = try await object([
            "ip", "apply", "daily", "--sandbox", "bot", "--token-budget", "100000", "--model", "gpt-4.1",
            "--fallback", "ollama:llama3:8b", "--fallback", "azure-openai:mini", "--content-safety-severity", "Medium",
            "--require-prompt-shields",
        ])
        #expect(policy["metadata"]?["namespace"] == "default")
        #expect(policy["spec"] == [
            "appliesTo": ["sandboxName": "bot"], "tokenBudget": ["dailyTokens": 100_000],
            "modelPreference": [
                "primary": ["provider": "azure-openai", "deployment": "gpt-4.1"],
                "fallback": [
                    ["provider": "ollama", "deployment": "llama3:8b"], ["provider": "azure-openai", "deployment": "mini"],
                ],
            ],
            "contentSafety": [
                "hate": "Medium", "selfHarm": "Medium", "sexual": "Medium", "violence": "Medium", "requirePromptShields": true,
            ],
        ])
    }

    @Test func serversMemoriesAndAgentsSayWhatTheirOptionsSay() async throws {
        let (server, warned) = try await object(["mcp", "apply", "s", "--url", "https://mcp.example", "--scope", "read"])
        #expect(server["spec"] == ["url": "https://mcp.example", "scopes": ["read"]])
        #expect(warned.err.contains("no --allowed-tool"))
        let (memory, rewritten) = try await object([
            "memory", "apply", "m", "--sandbox", "bot", "--store", "shared", "--scope", "agent:bot", "--no-delete-on-sandbox-delete",
        ])
        #expect(memory["spec"] == [
            "sandboxRef": ["name": "bot"], "storeName": "shared", "scope": "agent_bot", "deleteOnSandboxDelete": false,
        ])
        #expect(rewritten.err.contains("agent:bot is written agent_bot"))
        let (own, _) = try await object(["memory", "apply", "m", "--sandbox", "bot", "--store", "shared"])
        #expect(own["spec"]?["scope"] == "agent_bot")
        // The key as certificates hold it, and its 32 bytes.
        for key in [
            "k1:Ed25519:MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=:1900000000",
            "k1:EdDSA:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo:1900000000",
        ] {
            let (agent, _) = try await object([
                "a2a-agent", "apply", "a", "--endpoint-url", "https://partner.example/a2a", "--signing-key", key,
                "--require-signed", "--min-signatures", "1",
            ])
            #expect(agent["spec"] == [
                "endpointUrl": "https://partner.example/a2a",
                "signingKeys": [[
                    "kid": "k1", "alg": "EdDSA", "publicKeyB64u": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                    "notAfter": 1_900_000_000,
                ]],
                "trust": ["requireSignedRequests": true, "minSignaturesRequired": 1],
            ])
        }
    }

    @Test func aFileHoldsASpecOrAWholeObject() async throws {
        let (bare, _) = try await object(["mcp", "apply", "s", "--from-file", "-"], input: "url: https://mcp.example\n")
        #expect(bare["spec"] == ["url": "https://mcp.example"])
        let whole = #"{"apiVersion":"kars.azure.com/v1alpha1","kind":"McpServer","metadata":{"name":"s","namespace":"other","labels":{"a":"b"}},"spec":{"url":"https://mcp.example"}}"#
        let (kept, _) = try await object(["mcp", "apply", "s", "--from-file", "-"], input: whole)
        #expect(kept["metadata"] == ["name": "s", "namespace": "other", "labels": ["a": "b"]])
        for (arguments, input, reason) in [
            (["mcp", "apply", "t"], whole, "describes s, not t"), (["tp", "apply", "s"], whole, "McpServer, not"),
            (["mcp", "apply", "s", "-n", "here"], whole, "is for the namespace other"),
            (["mcp", "apply", "s"], "url: [", "neither YAML nor JSON"), (["mcp", "apply", "s"], "- 1", "must hold one spec"),
            (["mcp", "apply", "s"], "url: https://a\nulr: b", "spec.ulr is no field of a kind McpServer"),
            (["mcp", "apply", "s"], "url: 5", "standard input: spec.url must be text"),
        ] {
            let output = try await BuiltProgram.run(arguments + ["--from-file", "-", "--dry-run"], input: input)
            #expect(output.status == 2 && output.out == "")
            #expect(output.err.contains(reason) && output.err.filter { $0 == "\n" }.count == 1, "\(output.err)")
        }
    }

    @Test(arguments: [
        (["tp", "apply", "x", "--rps", "1"], "say what it counts for"),
        (["tp", "apply", "X", "--tool", "a"], "<name> wants 1 to 63"),
        (["tp", "apply", "x", "--tool", "a", "--daily-cap", "5 dollars"], "spec.commerce.dailyCap must be a currency"),
        (["tp", "apply", "x", "--tool", "a", "--approval-threshold", "USD 5.00"], "aboveThreshold alone"),
        (["tp", "apply", "x", "--tool", "a", "--daily-cap", "USD 5.00", "--monthly-cap", "USD 4.99"], "must not be below dailyCap"),
        (["tp", "apply", "x", "--sandbox-label", "blue"], "--sandbox-label wants key=value"),
        (["tp", "apply", "x", "--tool", "a", "--from-file", "-"], "exclude each other"),
        (["ip", "apply", "x", "--sandbox", "b"], "give a --model"),
        (["ip", "apply", "x", "--token-budget", "1", "--fallback", "a:b"], "--fallback goes with --model"),
        (["ip", "apply", "x", "--model", "m", "--fallback", "mini"], "wants provider:deployment"),
        (["ip", "apply", "x", "--token-budget", "10", "--monthly-tokens", "9"], "must not be below dailyTokens"),
        (["mcp", "apply", "x"], "give the --url"),
        (["mcp", "apply", "x", "--url", "http://a.example", "--production-mode"], "must begin with https://"),
        (["memory", "apply", "x", "--sandbox", "a"], "give the --sandbox to bind and the --store"),
        (["memory", "apply", "x", "--sandbox", "a", "--store", "S"], "spec.storeName must be"),
        (["a2a-agent", "apply", "x", "--endpoint-url", "https://a.example"], "one --signing-key at least"),
        (["a2a-agent", "apply", "x", "--endpoint-url", "https://a.example", "--signing-key", "k:RS256:AAAA"], "the algorithm EdDSA"),
        (["a2a-agent", "apply", "x", "--endpoint-url", "https://a.example", "--signing-key", "k:EdDSA:AAAA"], "32 bytes"),
    ])
    func whatNoClusterWouldTakeIsRefusedAtOnce(arguments: [String], reason: String) async throws {
        let output = try await BuiltProgram.run(arguments + ["--dry-run"])
        #expect(output.status == 2 && output.out == "")
        #expect(output.err.contains(reason) && output.err.filter { $0 == "\n" }.count == 1, "\(output.err)")
    }
}
