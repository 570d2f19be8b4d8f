import FoundationEssentials
import Glibc
import Storage

/// Starts one container.
///
/// The order makes a crash of the node harmless at every step, as with bubblewrap: the init inside gets the logs and the
/// way to the node over a socket in the sandbox's folder, waits for a first byte, answers once its gateway listens, and
/// starts the agent on another. It ends by itself when the node is gone before.
struct DockerStart: Sendable {
    let engine: DockerEngine
    let spec: SandboxSpec
    let folders: SandboxFolders
    let credentials: CredentialFolder
    let runtime: DockerRuntime
    let owner: SandboxOwner
    let facts: DockerEngine.Facts
    /// Tells this node's containers from another's.
    let node: String

    typealias Standby = ReadySandbox<DockerRun>

    /// Brings the container to the point where its agent can start.
    ///
    /// - Parameter loaded: the agent knows standby, and is started to wait.
    func prepare(
        loaded: Bool, image: (name: String, facts: DockerEngine.Image?)
    ) async throws(SandboxError) -> Standby {
        try folders.prepare(for: spec, credentials: credentials, owner: owner)
        let meeting = try InitMeeting(spec: spec, folders: folders, owner: owner)
        defer { meeting.end() }
        let container = DockerContainer(
            spec: spec, folders: folders, credentials: credentials.path, runtime: runtime, image: image,
            owner: owner, node: node, facts: facts)
        let id = try await create(container)
        do throws(SandboxError) {
            try await engine.start(id)
            let met = try await meeting.hold(loaded: loaded) { () throws(SandboxError) in
                try await engine.inspect(id)?.state.running == true
            }
            let run = DockerRun(id: id, name: spec.name, pid: met.process, engine: engine)
            return Standby(run: run, name: spec.name, socket: met.socket, talk: met.talk)
        } catch {
            let failure = await explained(error, id)
            try? await engine.remove(id)
            throw failure
        }
    }

    /// Another node of this machine may have a sandbox of the same name.
    private func create(_ container: DockerContainer) async throws(SandboxError) -> String {
        try await engine.removeAll(of: spec.name, node: node)
        let names = ["kars-\(spec.name)", "kars-\(spec.name)-\(node)"]
        for name in names {
            if let id = try await engine.create(name, container) { return id }
        }
        throw .engine(reason: "containers called \(names.joined(separator: " and ")) are there already")
    }

    /// What the init or the engine said, where that tells more.
    private func explained(_ error: SandboxError, _ id: String) async -> SandboxError {
        guard case .cannotStart = error else { return error }
        let said = String(decoding: ((try? AtomicFile.read(folders.initLog)) ?? nil) ?? [], as: UTF8.self)
        let printed = await engine.output(id)
        let told = (try? await engine.inspect(id))?.state.error
        let lines = [told, printed, said].compactMap { $0?.split(separator: "\n").last.map(String.init) }
        guard let line = lines.first(where: { !$0.isEmpty }) else { return error }
        return .cannotStart(name: spec.name, reason: line)
    }
}
