import Observability
import Storage
import Transport

/// The reference agent (`byo` of runtime contract v1): a real conversation over HTTP and WebSocket, kept in
/// the workspace's journal, answered without a model.
///
/// `/v1/freeze` and `/v1/thaw` are the node's alone. The agent cannot tell the node from a client, so the
/// gate in front of it refuses both paths from outside.
public final class ReferenceAgentService: Sendable {
    private let configuration: AgentConfiguration
    private let logger: Logger
    private let memory = LateMemory()
    private let running = Running()

    /// Opens the workspace and reads its journal; in standby, that is left to ``start()``.
    ///
    /// - Throws: ``AgentError`` when the journal is damaged or another agent holds it; `StorageError` when
    ///   the workspace cannot be made.
    public init(configuration: AgentConfiguration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        if configuration.standby == nil { try openWorkspace() }
    }

    private func openWorkspace() throws {
        try AtomicFile.makeFolder(configuration.workspace)
        memory.open(
            try AgentMemory(workspace: configuration.workspace, limits: configuration.limits, logger: logger))
    }

    /// Serves until ``stop()``. In standby it listens, and whoever connects waits until the workspace may be opened.
    ///
    /// - Returns: where it listens, with the port the kernel picked.
    /// - Throws: also as ``init(configuration:logger:)`` in standby.
    public func start() async throws -> Endpoint {
        var limits = ServerLimits()
        limits.maximumBodyBytes = configuration.limits.maximumRequestBytes
        limits.maximumMessageBytes = configuration.limits.maximumRequestBytes
        limits.drainTimeout = .milliseconds(500)  // a sandbox is stopped within a second
        let loop = try EventLoop(name: "agent")
        let memory = self.memory
        let (agentLimits, folder) = (configuration.limits, configuration.filesFolder)
        do {
            let server = try await Server(
                loops: [loop], endpoint: configuration.listen, limits: limits,
                customHeaders: [ChatRequest.gateHeader],
                http: { request in
                    guard let memory = await memory.wait() else { return .text("stopped\n", status: 503) }
                    return await AgentRoutes(memory: memory, limits: agentLimits, folder: folder).answer(request)
                },
                webSocket: { upgrade in
                    guard upgrade.path == "/v1/stream", let memory = memory.present else { return nil }
                    return ChatStream(memory: memory, limits: agentLimits)
                })
            await running.began(server, loop)
            if let standby = configuration.standby {
                try await Standby.wait(on: standby)
                try openWorkspace()
            }
            logger.info(
                "agent ready", ["endpoint": server.endpoint, "turns": memory.present?.state.turns ?? 0])
            return server.endpoint
        } catch {
            memory.open(nil)
            loop.shutdown()
            throw error
        }
    }

    /// Finishes the turns under way, at most half a second, and puts them on the disk.
    public func stop() async {
        await memory.present?.stop()
        memory.open(nil)
        await running.end()
    }

    /// What ``stop()`` has to take down.
    private actor Running {
        private var parts: (server: Server, loop: EventLoop)?

        func began(_ server: Server, _ loop: EventLoop) { parts = (server, loop) }

        func end() async {
            guard let (server, loop) = parts else { return }
            parts = nil
            await server.close()
            loop.shutdown()
        }
    }
}
