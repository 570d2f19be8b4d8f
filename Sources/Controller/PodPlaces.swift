import FoundationEssentials
import MeshIdentity
import MeshNode
import Observability
import Resources
import Sandboxes

/// Makes the place of an agent that another peer wants to bring: a KarsSandbox that waits for it. Then it makes that peer
/// and the one in the pod known to each other, and the agent goes straight there.
struct PodPlaces: Sendable {
    let client: KubernetesClient
    let settings: ClusterSettings
    let peers: PodPeers
    let logger: Logger

    func find(_ request: FindPlace, from caller: OperationCaller) async throws -> FindPlace.Answer {
        do { return try await look(for: request, from: caller) } catch let error as KubernetesError where Self.passes(error) {
            logger.warn("a place waits for the API server", ["sandbox": request.spec.name, "error": "\(error)"])
            return FindPlace.Answer(waitingFor: "the API server of \(settings.name)")
        }
    }

    /// Whether asking again may do: each step here looks at what is there.
    static func passes(_ error: KubernetesError) -> Bool {
        switch error {
        case .unreachable, .interrupted, .busy, .conflict, .alreadyExists: true
        default: false
        }
    }

    private func look(for request: FindPlace, from caller: OperationCaller) async throws -> FindPlace.Answer {
        guard case .peer(let peer, let pairing?) = caller else {
            throw OperationFailure(.refused, "\(FindPlace.name) is for paired peers")
        }
        let name = request.spec.name
        do { try request.spec.validate() } catch { throw OperationFailure(.invalid, "\(error)") }
        guard ClusterNames.isSandbox(name) else {
            throw OperationFailure(
                .invalid, "a sandbox in a cluster is named by 1 to 58 of a-z 0-9 -, with a letter or digit at both ends, and not system or sre")
        }
        guard let object = try await client.get(.karsSandboxes, name, namespace: settings.namespace) else {
            if !request.isRehearsal { try await make(request.spec, for: peer) }
            return FindPlace.Answer(waitingFor: "its pod")
        }
        guard object.labels[ClusterNames.requesterLabel] == ClusterNames.label(of: peer.key) else {
            throw OperationFailure(
                .conflict, "\(settings.name) has a sandbox called \(name) that is not this peer's",
                hint: "choose another name, or ask its owner to destroy it")
        }
        guard !object.isBeingDeleted else { return FindPlace.Answer(waitingFor: "the end of an earlier \(name)") }
        let reason = (object.status?["conditions"]?.arrayValue ?? [])
            .first { $0["type"]?.stringValue == "Ready" }?["message"]?.stringValue
        if object[path: ["status", "phase"]]?.stringValue == SandboxStatusReport.Phase.degraded.rawValue {
            throw OperationFailure(.failed, "\(settings.name) cannot make a place for \(name): \(reason ?? "it does not say why")")
        }
        guard let place = await peers.peer(of: name) else {
            return FindPlace.Answer(waitingFor: reason ?? "its pod")
        }
        if !request.isRehearsal {
            do {
                _ = try await peers.calls.call(IntroducePeer(peer.key, by: pairing), of: place)
            } catch let failure as OperationFailure where [.timedOut, .unavailable].contains(failure.code) {
                return FindPlace.Answer(waitingFor: reason ?? "the node of its pod")
            }
        }
        return FindPlace.Answer(peer: place.key)
    }

    private func make(_ spec: SandboxSpec, for peer: PeerIdentity) async throws {
        let label = ClusterNames.label(of: peer.key)
        let own = try await client.list(
            .karsSandboxes, namespace: settings.namespace, labelSelector: "\(ClusterNames.requesterLabel)=\(label)")
        guard own.items.count < settings.sandboxesPerPeer else {
            throw OperationFailure(
                .refused, "\(settings.name) holds \(own.items.count) sandboxes of this peer, as many as it may have",
                hint: "destroy one: 'kars destroy <name> --cloud'")
        }
        let policy = "\(spec.name.prefix(53))-inference"
        var object = KubernetesObject(
            .karsSandboxes, name: spec.name, namespace: settings.namespace,
            labels: [
                ClusterNames.sandboxLabel: spec.name, ClusterNames.spawnedByLabel: "handoff",
                ClusterNames.requesterLabel: label,
            ],
            annotations: [
                ClusterNames.modeAnnotation: ClusterNames.restore,
                ClusterNames.requesterAnnotation: Base64.encodeURL(peer.key.bytes), "kars.azure.com/handoff-predecessor": spec.name,
            ])
        var runtime: JSONValue = ["image": .string(spec.image ?? settings.image), "contractVersion": "v1"]
        if spec.image != nil { runtime["command"] = .array(spec.command.map { .string($0) }) }
        object["spec"] = [
            "runtime": ["kind": "BYO", "byo": runtime],
            "sandbox": ["isolation": .string(spec.settings?.isolation ?? "standard"), "seccompProfile": "RuntimeDefault"],
            "inferenceRef": ["name": .string(policy)], "governance": ["enabled": false],
            "networkPolicy": ["defaultDeny": true, "egressMode": "Strict"],
        ]
        var inference = KubernetesObject(
            .inferencePolicies, name: policy, namespace: settings.namespace,
            labels: [ClusterNames.sandboxLabel: spec.name, ClusterNames.spawnedByLabel: "handoff"])
        inference["spec"] = ["appliesTo": ["sandboxName": .string(spec.name)]]
        if let model = spec.settings?.model {
            inference["spec", "modelPreference"] = [
                "primary": ["provider": .string(spec.settings?.provider ?? "azure-ai-foundry"), "deployment": .string(model)]
            ]
        }
        try await client.apply(.inferencePolicies, inference, fieldManager: ClusterNames.fieldManager)
        do throws(KubernetesError) {
            let made = try await client.create(.karsSandboxes, object, fieldManager: ClusterNames.fieldManager)
            // Goes when the sandbox does.
            if let uid = made.uid {
                inference.ownerReferences = [
                    OwnerReference(
                        apiVersion: KubernetesResource.karsSandboxes.apiVersion, kind: KubernetesResource.karsSandboxes.kind,
                        name: spec.name, uid: uid)
                ]
                try await client.apply(.inferencePolicies, inference, fieldManager: ClusterNames.fieldManager)
            }
        } catch {
            // Asked twice at once: the other one made it.
            guard case .alreadyExists = error else { throw error }
        }
        logger.info("a place is being made", ["sandbox": spec.name, "for": peer.did])
    }
}
