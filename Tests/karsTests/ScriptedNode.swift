import Foundation
import Synchronization
import TestSupport
import Transport

@testable import MeshNode

/// The node's real socket and operation table over answers a test lays down, so that commands can be tested
/// without sandboxes and a mesh.
final class ScriptedNode: Sendable {
    let home = TemporaryFolder()
    let table = OperationTable { _, _, _ in }
    /// What was asked, in order.
    private let asked = Mutex<[any PeerOperation]>([])
    private let loop: EventLoop
    private let socket = Mutex<NodeSocket?>(nil)

    init() async throws {
        loop = try EventLoop(name: "node")
        try FileManager.default.createDirectory(atPath: home.file("node"), withIntermediateDirectories: true)
        try await open()
    }

    /// Takes commands, also after ``leave()``.
    func open() async throws {
        let socket = try await NodeSocket(path: home.file("node/node.sock"), loop: loop, table: table)
        self.socket.withLock { $0 = socket }
    }

    /// Is gone for its callers, as a node that restarts.
    func leave() async {
        await socket.withLock { socket in
            defer { socket = nil }
            return socket
        }?.close()
    }

    /// Lays down an answer.
    func on<Operation: PeerOperation>(
        _ type: Operation.Type, _ answer: @escaping @Sendable (Operation) throws -> Operation.Answer
    ) {
        table.register(type) { operation, _ in
            self.asked.withLock { $0.append(operation) }
            return try answer(operation)
        }
    }

    func requests<Operation: PeerOperation>(_ type: Operation.Type) -> [Operation] {
        asked.withLock { $0.compactMap { $0 as? Operation } }
    }

    func kars(_ arguments: String..., input: String? = nil) async throws -> ChildProcess.Output {
        try await kars(arguments, input: input)
    }

    func kars(_ arguments: [String], input: String? = nil) async throws -> ChildProcess.Output {
        try await BuiltProgram.run(arguments, home: home, input: input)
    }

    func close() async {
        await leave()
        loop.shutdown()
    }
}

extension ScriptedNode {
    static let date = Date(timeIntervalSince1970: 1_800_000_000)  // 2027-01-15 08:00:00 UTC

    static func sandbox(_ name: String, status: String = "running", epoch: Int = 1) -> SandboxSummary {
        SandboxSummary(
            name: name, runtime: "byo", status: status, driver: "embedded", did: "did:mesh:\(name)",
            home: "laptop", homeDID: "did:mesh:laptop", epoch: epoch, createdAt: date,
            gatewayURL: "http://127.0.0.1:1/agents/\(name)", tokenFile: "/tmp/\(name)/token",
            limits: ["pids"])
    }

    static func move(_ phase: HandoffProgress.Phase) -> HandoffProgress {
        var progress = HandoffProgress(
            id: "m1", sandbox: "a", direction: "out", peer: "cloud", peerDID: "did:mesh:cloud",
            startedAt: date)
        progress.phase = phase
        progress.movedBytes = 3 << 19
        progress.freezeMilliseconds = phase == .complete ? 38.25 : nil
        progress.error = phase == .aborted ? "the target has no space left" : nil
        return progress
    }

    static func pairing(_ name: String, phase: Pairing.Phase = .active) -> Pairing {
        Pairing(
            name: name, role: .issuer, phase: phase, peerKey: nil, peerName: "laptop",
            capabilities: [.offload, .handoff], slots: 1, tokenBudget: 500_000,
            expiresAt: Date(timeIntervalSince1970: 4_000_000_000), createdAt: date, pairedAt: date)
    }
}
