import FoundationEssentials
import MeshIdentity
import MeshNode
import Observability
import Resources
import Synchronization

/// Shows the pairings of a cluster's controller as KarsPairing objects, and takes from them what ends one: a phase set to
/// `Revoked`, or a deletion (resources §10). What counts is the controller's own store; an object grants nothing.
///
/// When one ends, the sandboxes of its peer are looked at, which tells the nodes of their pods.
final class PairingMirror: Sendable {
    private static let fieldManager = "kars-controller/pairing"
    private static let interval = Duration.seconds(3)

    private let client: KubernetesClient
    private let settings: ClusterSettings
    private let peers: PodPeers
    private let lookAt: @Sendable (_ sandbox: String) -> Void
    private let logger: Logger
    /// Objects as they were last seen.
    private let seen = Mutex<[String: KubernetesObject]>([:])

    /// - Parameter lookAt: has a sandbox looked at soon.
    init(
        client: KubernetesClient, settings: ClusterSettings, peers: PodPeers, logger: Logger,
        lookAt: @escaping @Sendable (_ sandbox: String) -> Void
    ) {
        self.lookAt = lookAt
        self.client = client
        self.settings = settings
        self.peers = peers
        self.logger = logger
    }

    /// Until it is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.follow() }
            group.addTask {
                while !Task.isCancelled {
                    do { try await self.show() } catch {
                        if !Task.isCancelled { self.logger.warn("pairings cannot be shown", ["error": "\(error)"]) }
                    }
                    try? await Task.sleep(for: Self.interval)
                }
            }
        }
    }

    // MARK: From the objects

    private func follow() async {
        while !Task.isCancelled {
            do {
                for try await change in client.follow(.karsPairings, namespace: settings.namespace) {
                    switch change {
                    case .synced(let objects):
                        seen.withLock { $0 = Dictionary(objects.map { ($0.name, $0) }) { $1 } }
                        for object in objects { await take(object) }
                    case .changed(let object):
                        seen.withLock { $0[object.name] = object }
                        await take(object)
                    case .removed(let object):
                        // An older object of the name may be told of after a newer one is there.
                        let isKnown = seen.withLock { seen in
                            guard seen[object.name]?.uid == object.uid else { return false }
                            seen[object.name] = nil
                            return true
                        }
                        if isKnown { await forget(object) }
                    }
                }
            } catch {
                guard !Task.isCancelled else { return }
                logger.error("pairings cannot be followed", ["error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(5))
        }
    }

    private func take(_ object: KubernetesObject) async {
        guard object[path: ["status", "phase"]]?.stringValue == Pairing.Phase.revoked.rawValue,
            let pairing = await own(object), pairing.phase == .active || pairing.phase == .pending
        else { return }
        do {
            _ = try await peers.pairings.revoke(pairing.name)
            logger.info("a pairing was revoked in the cluster", ["pairing": pairing.name])
            try await lookAtSandboxes(of: pairing)
        } catch { logger.error("a pairing was not revoked", ["pairing": object.name, "error": "\(error)"]) }
    }

    private func forget(_ object: KubernetesObject) async {
        guard let pairing = await own(object) else { return }
        do {
            _ = try await peers.pairings.remove(pairing.name)
            logger.info("a pairing was deleted in the cluster", ["pairing": pairing.name])
            try await lookAtSandboxes(of: pairing)
        } catch { logger.error("a pairing was not ended", ["pairing": object.name, "error": "\(error)"]) }
    }

    /// The pairing an object shows; nil for an object that somebody else made.
    private func own(_ object: KubernetesObject) async -> Pairing? {
        guard let pairing = try? await peers.pairings.inspect(object.name),
            let hash = try? await peers.pairings.tokenHash(of: object.name),
            object[path: ["spec", "tokenHash"]]?.stringValue == hash
        else { return nil }
        return pairing
    }

    // MARK: To the objects

    private func show() async throws {
        let pairings = try await peers.pairings.list().filter {
            $0.role == .issuer && !$0.name.hasPrefix(ClusterNames.pairingPrefix)
        }
        for pairing in pairings {
            guard let hash = try await peers.pairings.tokenHash(of: pairing.name) else { continue }
            var wanted = KubernetesObject(.karsPairings, name: pairing.name, namespace: settings.namespace)
            wanted["spec"] = [
                "tokenHash": .string(hash), "expiresAt": .string(pairing.expiresAt.formatted(.iso8601)),
                "slotsMax": .int(Int64(pairing.slots)), "tokenBudget": .int(Int64(pairing.tokenBudget)),
                "capabilities": .array(pairing.capabilities.map { .string($0.rawValue) }),
                "displayName": .string(pairing.peerName ?? pairing.name),
            ]
            let former = seen.withLock { $0[pairing.name] }
            if former?.spec != wanted.spec {
                let applied = try await client.apply(.karsPairings, wanted, fieldManager: Self.fieldManager)
                seen.withLock { $0[pairing.name] = applied }
            }
            let oldPhase = former?[path: ["status", "phase"]]?.stringValue
            guard oldPhase != pairing.phase.rawValue else { continue }
            if pairing.phase == .revoked || pairing.phase == .expired { try await lookAtSandboxes(of: pairing) }
            let written = try await client.patchStatus(
                .karsPairings, pairing.name, namespace: settings.namespace, Self.status(of: pairing),
                fieldManager: Self.fieldManager)
            seen.withLock { $0[pairing.name] = written }
        }
        // Objects of pairings that are gone here.
        let names = Set(pairings.map(\.name))
        for (name, object) in seen.withLock({ $0 }) where !names.contains(name) && object.isManaged(by: Self.fieldManager) {
            seen.withLock { $0[name] = nil }
            try await client.delete(.karsPairings, name, namespace: settings.namespace, uid: object.uid)
        }
    }

    private static func status(of pairing: Pairing) -> JSONValue {
        let isActive = pairing.phase == .active
        var status: JSONValue = [
            "phase": .string(pairing.phase.rawValue),
            "conditions": [
                [
                    "type": "Ready", "status": isActive ? "True" : "False", "reason": .string(pairing.phase.rawValue),
                    "message": .string(isActive ? "paired" : "the pairing is \(pairing.phase.rawValue)"),
                    "lastTransitionTime": .string(Date().formatted(.iso8601)),
                ]
            ],
        ]
        if let key = pairing.peerKey {
            status["boundAmid"] = .string(key.amid)
            status["boundPubkeyEd25519"] = .string(Base64.encode(key.bytes))
        }
        if let time = pairing.pairedAt { status["pairedAt"] = .string(time.formatted(.iso8601)) }
        return status
    }

    private func lookAtSandboxes(of pairing: Pairing) async throws {
        guard let key = pairing.peerKey else { return }
        let sandboxes = try await client.list(
            .karsSandboxes, namespace: settings.namespace,
            labelSelector: "\(ClusterNames.requesterLabel)=\(ClusterNames.label(of: key))")
        for sandbox in sandboxes.items { lookAt(sandbox.name) }
    }
}

extension KubernetesObject {
    /// Whether a field manager applied any of it.
    fileprivate func isManaged(by manager: String) -> Bool {
        (self[path: ["metadata", "managedFields"]]?.arrayValue ?? []).contains { $0["manager"]?.stringValue == manager }
    }
}
