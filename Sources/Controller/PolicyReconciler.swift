import FoundationEssentials
import Observability
import Resources

/// Compiles the policies that sandboxes refer to, each into a ConfigMap that goes when the policy does, and says so in its
/// status. `Ready` would mean that every router had echoed the digest; there is no router yet, so none is ever `Ready`.
struct PolicyReconciler: Sendable {
    enum Kind: String, Sendable, CaseIterable {
        case inference
        case tool

        var resource: KubernetesResource { self == .inference ? .inferencePolicies : .toolPolicies }
        /// Refuses what an older API server, which knows no rules, let through.
        fileprivate func check(_ spec: JSONValue) throws(InvalidSpec) {
            switch self {
            case .inference: _ = try InferencePolicySpec(reading: spec)
            case .tool: _ = try ToolPolicySpec(reading: spec)
            }
        }

        fileprivate var manager: String { "kars-controller/\(plain)" }
        fileprivate var plain: String { self == .inference ? "inferencepolicy" : "toolpolicy" }
        fileprivate var digestAnnotation: String {
            "kars.azure.com/\(self == .inference ? "inference-policy" : "agt-profile")-digest"
        }
        fileprivate var reference: [String] {
            self == .inference ? ["spec", "inferenceRef", "name"] : ["spec", "governance", "toolPolicyRef", "name"]
        }
    }

    let client: KubernetesClient
    let settings: ClusterSettings

    func reconcile(_ kind: Kind, _ name: String) async throws {
        guard let object = try await client.get(kind.resource, name, namespace: settings.namespace), !object.isBeingDeleted,
            let spec = object.spec
        else { return }
        do throws(InvalidSpec) { try kind.check(spec) } catch {
            return try await write(
                object, kind, nil, phase: "Degraded", reason: "SpecInvalid", message: "\(error)")
        }
        let bundle = spec["bundleRef"] ?? spec[path: ["agtProfile", "bundleRef"]]
        if bundle != Optional.none {
            return try await write(
                object, kind, nil, phase: "Degraded", reason: "SpecInvalid",
                message: "signed bundles are not fetched in this version of kars; write the policy inline")
        }
        let compiled = kind == .inference ? CompiledPolicy.inference(spec) : CompiledPolicy.tool(spec)
        var map = KubernetesObject(
            .configMaps, name: "\(kind.plain)-\(name)-profile", namespace: settings.namespace,
            labels: ["app.kubernetes.io/name": "kars"],
            annotations: ["kars.azure.com/\(kind.plain)-version-hash": compiled.versionHash])
        if let digest = compiled.digest { map.annotations[kind.digestAnnotation] = digest }
        map["data"] = .object(compiled.files.mapValues { .string($0) })
        if let uid = object.uid {
            map.ownerReferences = [
                OwnerReference(apiVersion: kind.resource.apiVersion, kind: kind.resource.kind, name: name, uid: uid)
            ]
        }
        try await client.apply(.configMaps, map, fieldManager: kind.manager)
        let isUsed = try await client.list(.karsSandboxes, namespace: settings.namespace).items.contains {
            $0[path: kind.reference]?.stringValue == name
        }
        try await write(
            object, kind, compiled, phase: "Compiled",
            reason: isUsed ? "AwaitingRouterEnforcement" : "NoSandboxesReferencing",
            message: isUsed ? "no router has told that it enforces this" : "no sandbox refers to this")
    }

    private func write(
        _ object: KubernetesObject, _ kind: Kind, _ compiled: CompiledPolicy?, phase: String, reason: String, message: String
    ) async throws {
        let old = object.status ?? [:]
        var status = old
        status["phase"] = .string(phase)
        status["observedGeneration"] = .int(object.generation ?? 0)
        if let compiled {
            switch kind {
            case .inference:
                status["profileConfigMapRef"] = ["name": .string("inferencepolicy-\(object.name)-profile")]
                status["versionHash"] = .string(compiled.versionHash)
                status["compiledDigest"] = compiled.digest.map { .string($0) }
            case .tool: status["agtProfileDigest"] = compiled.digest.map { .string($0) }
            }
        }
        let ready = (old["conditions"]?.arrayValue ?? []).first { $0["type"]?.stringValue == "Ready" }
        let now = JSONValue.string(Date().formatted(.iso8601))
        status["conditions"] = [
            [
                "type": "Ready", "status": "False", "reason": .string(reason), "message": .string(message),
                "observedGeneration": .int(object.generation ?? 0),
                "lastTransitionTime": ready?["lastTransitionTime"] ?? now,
            ]
        ]
        guard status != old else { return }
        if compiled != nil { status["lastCompiledAt"] = now }
        try await client.patchStatus(
            kind.resource, object.name, namespace: settings.namespace, status, fieldManager: kind.manager)
    }
}
