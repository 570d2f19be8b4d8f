import Foundation
import MeshNode
import TestSupport
import Testing

/// Relay, registry and two nodes as processes; the peer `cloud` works for the peer `local`.
struct OffloadWorld {
    let mesh: ProcessMesh
    let local: NodeProcess
    let cloud: NodeProcess
    /// What the cloud calls its pairing.
    static let pairing = "laptop"

    init(
        slots: Int = 1, budget: Int = 100_000, capabilities: [Capability] = [.offload], cloudArguments: [String] = [],
        cloudEnvironment: [String: String] = NodeProcess.embedded
    ) async throws {
        mesh = try await ProcessMesh()
        local = try await NodeProcess("local", mesh)
        cloud = try await NodeProcess("cloud", mesh, arguments: cloudArguments, environment: cloudEnvironment)
        try await Self.pair(local, cloud, Self.pairing, slots: slots, budget: budget, capabilities: capabilities)
    }

    static func pair(
        _ local: NodeProcess, _ cloud: NodeProcess, _ name: String, slots: Int = 1, budget: Int = 100_000,
        capabilities: [Capability] = [.offload]
    ) async throws {
        let token = try await cloud.client.call(
            GeneratePairing(
                pairingName: name, lifetime: 600, tokenBudget: budget, slots: slots, capabilities: capabilities,
                relayURL: nil, registryURL: nil)
        ).token
        _ = try await local.client.call(AcceptPairing(token: token))
    }

    func start(
        _ task: String, files: [String] = [], tokens: Int? = nil, timeout: Int = 300
    ) async throws -> OffloadProgress {
        try await local.client.call(
            StartOffload(
                task: task, target: "cloud", files: files,
                preferences: OffloadPreferences(maximumTokens: tokens, timeout: timeout)))
    }

    func status(_ id: String) async throws -> OffloadProgress { try await local.client.call(ShowOffload(id: id)) }

    func reaches(_ phase: OffloadPhase, _ id: String, within limit: Duration = .seconds(60)) async throws {
        try await waitUntil("the offload is \(phase)", within: limit) {
            let now = try await status(id).phase
            if now.isOver, now != phase { Issue.record("the offload is \(now)") }
            return now == phase || now.isOver
        }
    }

    func end(of id: String, within limit: Duration = .seconds(90)) async throws -> OffloadProgress {
        try await waitUntil("the offload has ended", within: limit) { (try? await status(id))?.phase.isOver ?? false }
        return try await status(id)
    }

    /// How the cloud's side of the pairing counts.
    func account() async throws -> Pairing {
        try await cloud.client.call(InspectPairing(pairingName: Self.pairing))
    }

    /// Waits until nothing of an offload is left at the cloud.
    func isEmpty() async throws {
        var left = ""
        do {
            try await waitUntil("nothing is left at the cloud", within: .seconds(40)) {
                let slots = try await account().slotsUsed ?? 0
                let sandboxes = try await cloud.client.call(ListSandboxes()).map { "\($0.name) \($0.status)" }
                let kept = OffloadTests.kept(cloud.home + "/node/offloads/served")
                left = "\(slots) slots, \(sandboxes), \(kept)"
                return slots == 0 && sandboxes.isEmpty && kept.isEmpty
            }
        } catch {
            Issue.record("left at the cloud: \(left)")
            throw error
        }
    }

    /// Lets an agent go on that was told to wait for a file.
    func give(_ name: String, to offload: OffloadProgress) throws {
        let path = "\(cloud.home)/node/sandboxes/\(offload.sandbox)/workspace/incoming/\(name)"
        try Data().write(to: URL(fileURLWithPath: path))
    }

    func stop() async {
        await local.stop()
        await cloud.stop()
        await mesh.stop()
    }
}
