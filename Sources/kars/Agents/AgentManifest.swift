import CommandTree
import Controller
import Resources
import Sandboxes

/// The KarsSandbox that describes an agent as `kars add` would make it, for a cluster (resources §3).
///
/// Credentials are no part of it: the names of channels are, their tokens are not.
struct AgentManifest {
    /// The image of kars itself: a sandbox of it runs the reference agent.
    static let ownImage = "kars:dev"

    let name: String
    let runtime: AgentRuntime
    /// The image that was asked for; nil for the runtime's own.
    let image: String?
    let settings: AgentSettings

    /// - Throws: a usage error for what a KarsSandbox has no room for.
    func object() throws(UsageError) -> KubernetesObject {
        guard ClusterSettings.canBeNamed(name) else {
            throw .refused(
                "a sandbox in a cluster is named by 1 to 58 of a-z 0-9 -, with a letter or digit at both ends, and not "
                    + "system or sre")
        }
        let labels = ["kars.azure.com/sandbox": name]
        let annotations = settings.model.map { ["kars.azure.com/model": $0] } ?? [:]
        var object = KubernetesObject(
            .karsSandboxes, name: name, namespace: ClusterDoor.namespace, labels: labels, annotations: annotations)
        object["spec"] = [
            "runtime": try kind(),
            "sandbox": ["isolation": .string(settings.isolation ?? "enhanced")],
            "inferenceRef": ["name": .string("\(name.prefix(53))-inference")],
            "governance": [
                "enabled": .bool(settings.governance ?? true), "trustThreshold": .int(Int64(settings.trustThreshold ?? 500)),
            ],
            "networkPolicy": ["defaultDeny": true, "egressMode": "Strict"],
        ]
        return object
    }

    /// Prints it, and on standard error what keeps a controller of this version from following it.
    func print(_ invocation: Invocation) throws {
        let object = try object()
        try OutputFormat.print(object, invocation) { YAML.text(object.json) }
        if let obstacle = ClusterSettings.obstacle(to: object, ownImage: Self.ownImage) {
            Console.complain("note: a cluster's controller of this version would not run it: \(obstacle)")
        }
    }

    /// The runtime with its one member that matches the kind.
    private func kind() throws(UsageError) -> JSONValue {
        let variables = settings.variables.sorted { $0.key < $1.key }
        var member: [String: JSONValue] = [:]
        switch runtime {
        case .byo:
            member["image"] = .string(image ?? Self.ownImage)
            member["contractVersion"] = "v1"
            member["env"] = .array(variables.map { ["name": .string($0.key), "value": .string($0.value)] })
            return ["kind": "BYO", "byo": .object(member)]
        case .openClaw:
            if let image { member["image"] = .string(image) }
            if let model = settings.model { member["config"] = ["agent": ["model": .string("azure/\(model)")]] }
            return ["kind": "OpenClaw", "openclaw": .object(member)]
        default: break
        }
        guard image == nil else {
            throw .refused("a KarsSandbox names no image for the runtime \(runtime.rawValue): leave out --image")
        }
        switch runtime {
        case .hermes: return ["kind": "Hermes", "hermes": [:]]
        case .openAIAgents: return ["kind": "OpenAIAgents", "openaiAgents": [:]]
        case .microsoftAgentFramework:
            return ["kind": "MicrosoftAgentFramework", "microsoftAgentFramework": ["language": "python"]]
        case .langGraph, .langGraphAlias: return ["kind": "LangGraph", "langGraph": [:]]
        case .anthropic: return ["kind": "Anthropic", "anthropic": [:]]
        case .pydanticAI: return ["kind": "PydanticAi", "pydanticAi": [:]]
        case .byo, .openClaw: preconditionFailure("both were answered above")
        }
    }
}
