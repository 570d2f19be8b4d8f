import CommandTree
import MeshIdentity
import Resources

extension Command {
    /// `kars a2a-agent`, contract: resources §7.
    static let a2aAgent = ManagedKind(
        type: A2AAgentSpec.self, command: "a2a-agent", group: "Interop",
        summary: "Manage the agents of others that may call in, and their keys",
        discussion: "An A2AAgent pins the keys that an agent of somebody else signs its requests with, and may name a "
            + "ToolPolicy that its calls are held against.",
        options: [
            .value("endpoint-url", "url", kind: .url(schemes: ["https", "http"]), help: "Address of the agent"),
            .flag("production-mode", help: "Ask for https, and refuse requests without proof"),
            .list(
                "signing-key", "kid:alg:key[:notAfter]", commaSeparated: false,
                help: "Key it signs with: a name, EdDSA, the key in base64url, and perhaps until when, in seconds since 1970"),
            .list("capability", "name", commaSeparated: false, help: "What it says it can do"),
            .value("description", "text", help: "Description on its card"),
            .displayName,
            .value("policy-toolpolicy", "name", help: "ToolPolicy its calls are held against"),
            .flag("require-signed", help: "Refuse requests that are not signed"),
            .number("min-signatures", help: "Valid signatures a request needs at least"),
            .number("max-skew-seconds", help: "How far its clock may be off, in seconds"),
        ],
        columns: [.init("ENDPOINT", "spec", "endpointUrl"), .init("PRODUCTION", "spec", "productionMode")],
        examples: [
            Example(
                "kars a2a-agent apply partner-bot --endpoint-url https://partner.example.com/a2a "
                    + "--signing-key key1:EdDSA:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo --require-signed --production-mode",
                "Let an agent of a partner in"),
            Example("kars a2a-agent apply partner-bot --from-file partner.yaml", "Take it from a file"),
            Example("kars a2a-agent list -n kars-system", "List those that may call in"),
        ],
        draft: { invocation throws(UsageError) in
            guard invocation.isGiven("endpoint-url"), invocation.isGiven("signing-key") else {
                throw .refused("give the --endpoint-url and one --signing-key at least, or --from-file")
            }
            var draft = SpecDraft(invocation)
            draft.text("endpoint-url", "endpointUrl")
            draft.flag("production-mode", "productionMode")
            var keys: [JSONValue] = []
            for text in invocation.values("signing-key") { keys.append(try signingKey(text)) }
            draft.set(["signingKeys"], .array(keys))
            draft.list("capability", "capabilities")
            draft.text("description", "description")
            draft.text("display-name", "displayName")
            draft.text("policy-toolpolicy", "policyRefs", "toolPolicy")
            draft.flag("require-signed", "trust", "requireSignedRequests")
            try draft.number("min-signatures", "trust", "minSignaturesRequired")
            try draft.number("max-skew-seconds", "trust", "maxClockSkewSeconds")
            return .init(spec: draft.spec)
        },
        isUsed: { object, sandbox in
            guard sandbox[path: ["spec", "a2a", "enabled"]]?.boolValue == true else { return false }
            return (sandbox[path: ["spec", "a2a", "agentRef", "name"]]?.stringValue ?? sandbox.name) == object.name
        }
    ).tree

    /// `Ed25519` means `EdDSA`, and a key may come as it does in certificates (SubjectPublicKeyInfo).
    private static func signingKey(_ text: String) throws(UsageError) -> JSONValue {
        func refusal(_ wanted: String) -> UsageError {
            .invalidValue(source: "--signing-key", wanted: wanted, value: text, suggestion: nil)
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3 || parts.count == 4, !parts[0].isEmpty else {
            throw refusal("kid:EdDSA:key or kid:EdDSA:key:notAfter")
        }
        guard ["EdDSA", "Ed25519"].contains(parts[1]) else { throw refusal("the algorithm EdDSA") }
        guard let bytes = Base64.decode(parts[2]), let key = rawKey(bytes) else {
            throw refusal("an Ed25519 key of 32 bytes in base64url")
        }
        var json: JSONValue = [
            "kid": .string(parts[0]), "alg": "EdDSA", "publicKeyB64u": .string(Base64.encodeURL(key)),
        ]
        if parts.count == 4 {
            guard let end = Int64(parts[3]) else { throw refusal("seconds since 1970 at its end") }
            json["notAfter"] = .int(end)
        }
        return json
    }

    /// The key itself, or what RFC 8410 §4 wraps it in.
    private static func rawKey(_ bytes: [UInt8]) -> [UInt8]? {
        let wrapping: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]
        if bytes.count == 32 { return bytes }
        return bytes.count == 44 && bytes.starts(with: wrapping) ? Array(bytes.dropFirst(12)) : nil
    }
}
