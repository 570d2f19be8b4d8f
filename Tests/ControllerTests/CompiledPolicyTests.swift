import Resources
import Testing

@testable import Controller

/// Bytes and digests of compiled policies (policy-artifacts §7).
struct CompiledPolicyTests {
    @Test func membersStandInTheContractsOrderAndAbsentOnesAreNull() {
        let compiled = CompiledPolicy.inference([
            "displayName": "Writers", "tokenBudget": ["dailyTokens": 50_000, "perRequestTokens": 1_000],
            "appliesTo": ["action": "chat", "sandboxMatchLabels": ["b": "2", "a": "1"]],
            "modelPreference": [
                "primary": ["deployment": "gpt", "provider": "azure-openai"],
                "fallback": [["deployment": "llama", "provider": "ollama"]],
            ],
        ])
        #expect(
            compiled.files["inference-policy.json"]
                == #"{"appliesTo":{"sandboxName":null,"sandboxMatchLabels":{"a":"1","b":"2"},"action":"chat"},"#
                + #""tokenBudget":{"perRequestTokens":1000,"dailyTokens":50000,"monthlyTokens":null},"#
                + #""contentSafety":null,"modelPreference":{"primary":{"provider":"azure-openai","deployment":"gpt"},"#
                + #""fallback":[{"provider":"ollama","deployment":"llama"}]},"displayName":"Writers"}"#)
    }

    /// Worked out with `printf '%b' … | sha256sum`.
    @Test func theDigestIsOverLengthsNameAndContent() {
        #expect(
            CompiledPolicy.digest("a", "bc") == "sha256:3fafa1cf2f19a7c1129beb20cf0983f73a489a221fc0dd2f16d1be292d089205")
    }

    @Test func aProfileIsKeptAsItWasWritten() {
        let compiled = CompiledPolicy.tool([
            "appliesTo": ["tool": "*"], "rateLimit": ["rps": 10], "agtProfile": ["inline": "version: \"1.0\"\n# mine\n"],
        ])
        #expect(compiled.files["agt-profile.yaml"] == "version: \"1.0\"\n# mine\n")
        #expect(
            compiled.files["profile.json"]
                == #"{"appliesTo":{"tool":"*"},"rateLimit":{"rps":10},"approval":null,"commerce":null,"displayName":null}"#)
        #expect(compiled.digest == CompiledPolicy.digest("agt-profile.yaml", "version: \"1.0\"\n# mine\n"))
        #expect(CompiledPolicy.tool(["appliesTo": ["tool": "*"]]).digest == nil)
    }
}
