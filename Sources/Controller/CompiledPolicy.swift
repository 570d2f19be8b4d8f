import FoundationEssentials
import MeshIdentity
import Resources

/// A policy as a router would read it: compact JSON whose members stand in the order of the contract, because its bytes
/// are hashed as they are (policy-artifacts §7).
struct CompiledPolicy: Sendable, Equatable {
    /// Files by name, as they go into the ConfigMap.
    var files: [String: String]
    /// `sha256:` and hex, over name and content of the file that a router echoes; nil where there is none.
    var digest: String?
    /// First 32 hex digits of SHA-256 over the compiled JSON.
    var versionHash: String

    /// Of an InferencePolicy.
    static func inference(_ spec: JSONValue) -> CompiledPolicy {
        let appliesTo = object(
            spec["appliesTo"], [("sandboxName", nil), ("sandboxMatchLabels", nil), ("action", nil)])
        let budget = object(
            spec["tokenBudget"], [("perRequestTokens", nil), ("dailyTokens", nil), ("monthlyTokens", nil)])
        let safety = object(
            spec["contentSafety"],
            [("hate", nil), ("selfHarm", nil), ("sexual", nil), ("violence", nil), ("requirePromptShields", nil)])
        let models = spec["modelPreference"].map { models in
            let fallback = (models["fallback"]?.arrayValue ?? []).map(Self.model).joined(separator: ",")
            return "{\"primary\":\(models["primary"].map(Self.model) ?? "null"),\"fallback\":[\(fallback)]}"
        }
        let text = "{\"appliesTo\":\(appliesTo ?? "null"),\"tokenBudget\":\(budget ?? "null"),"
            + "\"contentSafety\":\(safety ?? "null"),\"modelPreference\":\(models ?? "null"),"
            + "\"displayName\":\(Self.text(spec["displayName"]))}"
        return CompiledPolicy(
            files: ["inference-policy.json": text], digest: digest("inference-policy.json", text), versionHash: hash(text))
    }

    /// Of a ToolPolicy: its rules, and the profile as it was written.
    static func tool(_ spec: JSONValue) -> CompiledPolicy {
        let members = ["appliesTo", "rateLimit", "approval", "commerce", "displayName"].map { name in
            "\"\(name)\":\(text(spec[name]))"
        }
        let profile = "{\(members.joined(separator: ","))}"
        var compiled = CompiledPolicy(files: ["profile.json": profile], digest: nil, versionHash: hash(profile))
        if let inline = spec[path: ["agtProfile", "inline"]]?.stringValue {
            compiled.files["agt-profile.yaml"] = inline
            compiled.digest = digest("agt-profile.yaml", inline)
        }
        return compiled
    }

    private static func model(_ model: JSONValue) -> String {
        "{\"provider\":\(text(model["provider"])),\"deployment\":\(text(model["deployment"]))}"
    }

    private static func object(_ json: JSONValue?, _ names: [(String, String?)]) -> String? {
        guard let json, json.objectValue != nil else { return nil }
        return "{" + names.map { "\"\($0.0)\":\(text(json[$0.0]))" }.joined(separator: ",") + "}"
    }

    private static func text(_ json: JSONValue?) -> String {
        String(decoding: (json ?? .null).encode(), as: UTF8.self)
    }

    private static func hash(_ text: String) -> String {
        String(Hex.encode(SHA256Digest.hash(Array(text.utf8))).prefix(32))
    }

    static func digest(_ name: String, _ body: String) -> String {
        var bytes: [UInt8] = []
        for part in [Array(name.utf8), Array(body.utf8)] {
            bytes += withUnsafeBytes(of: UInt64(part.count).bigEndian, Array.init) + part
        }
        return "sha256:" + Hex.encode(SHA256Digest.hash(bytes))
    }
}
