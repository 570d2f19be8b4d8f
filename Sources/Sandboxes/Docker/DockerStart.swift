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

    /// How long a container may take from its start until its init is there, and the init to listen.
    static let patience = Duration.seconds(30)

    /// A container in which all is ready but the agent: its init waits for the word to start it.
    struct Standby: StandbySandbox {
        let container: DockerRun
        /// The gateway's socket as an `O_PATH` descriptor.
        let socket: Int32
        /// The way to the init; closing it ends the init, and the container.
        let talk: Int32

        /// Says the word; the descriptors are the caller's, or closed when this throws.
        func startAgent() throws(SandboxError) {
            defer { close(talk) }
            var word = SandboxInit.Word.start
            guard send(talk, &word, 1, Int32(MSG_NOSIGNAL)) == 1 else {
                close(socket)
                throw .cannotStart(name: container.name, reason: "its container ended")
            }
        }

        func discard() {
            close(talk)
            close(socket)
        }
    }

    /// Brings the container to the point where its agent can start.
    ///
    /// - Parameter loaded: the agent knows standby, and is started to wait.
    func prepare(
        loaded: Bool, image: (name: String, facts: DockerEngine.Image?)
    ) async throws(SandboxError) -> Standby {
        try folders.prepare(for: spec, credentials: credentials, owner: owner)
        let listener = try DescriptorPassing.listen(in: folders.run, name: SandboxLayout.controlName)
        defer { close(listener) }
        try owner.own(folders.control)
        let container = DockerContainer(
            spec: spec, folders: folders, credentials: credentials.path, runtime: runtime, image: image,
            owner: owner, node: node, facts: facts)
        let id = try await create(container)
        do throws(SandboxError) {
            try await engine.start(id)
            let talk = try await meet(listener, id)
            do throws(SandboxError) {
                let socket = try await introduce(talk, loaded: loaded)
                let run = DockerRun(id: id, name: spec.name, pid: Self.process(behind: talk), engine: engine)
                return Standby(container: run, socket: socket, talk: talk)
            } catch {
                close(talk)
                throw error
            }
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

    /// Waits for the init, and hands it the logs.
    private func meet(_ listener: Int32, _ id: String) async throws(SandboxError) -> Int32 {
        let deadline = ContinuousClock.now + Self.patience
        var looks = 0
        while true {
            var wait = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            if poll(&wait, 1, 0) == 1 { break }
            looks += 1
            // A container that ended will never come.
            if looks.isMultiple(of: 50), try await engine.inspect(id)?.state.running != true {
                throw .cannotStart(name: spec.name, reason: "its container ended")
            }
            guard ContinuousClock.now < deadline else {
                throw .cannotStart(name: spec.name, reason: "its init did not come within \(Self.patience)")
            }
            try? await Task.sleep(for: .milliseconds(4))
        }
        let talk = accept(listener, nil, nil)
        guard talk >= 0 else { throw .lastFailure(folders.control) }
        _ = fcntl(talk, F_SETFD, FD_CLOEXEC)
        var files: [Int32] = []
        defer { for file in files { close(file) } }
        for (path, flags) in [
            (folders.agentLog, 0), (folders.rotatedAgentLog, 0), (folders.initLog, O_TRUNC | O_APPEND),
        ] {
            let file = SandboxFolders.openLog(path, flags)
            guard file >= 0 else {
                close(talk)
                throw .lastFailure(path)
            }
            files.append(file)
        }
        do throws(SandboxError) { try DescriptorPassing.send(files, over: talk) } catch {
            close(talk)
            throw error
        }
        return talk
    }

    /// The first byte and the answer to it. The socket is opened before the agent runs, because afterwards its
    /// path is the agent's to change.
    private func introduce(_ talk: Int32, loaded: Bool) async throws(SandboxError) -> Int32 {
        var word = SandboxInit.Word.go
        guard send(talk, &word, 1, Int32(MSG_NOSIGNAL)) == 1 else { throw Self.silent(spec.name) }
        let deadline = ContinuousClock.now + Self.patience
        var wait = pollfd(fd: talk, events: Int16(POLLIN), revents: 0)
        while poll(&wait, 1, 0) != 1 {
            guard ContinuousClock.now < deadline else { throw Self.silent(spec.name) }
            try? await Task.sleep(for: .milliseconds(2))
        }
        var byte: UInt8 = 0
        guard recv(talk, &byte, 1, 0) == 1 else { throw Self.silent(spec.name) }
        let socket = try folders.openSocket()
        if loaded {
            // An agent that cannot be loaded shows when it is to start.
            word = SandboxInit.Word.load
            _ = send(talk, &word, 1, Int32(MSG_NOSIGNAL))
        }
        return socket
    }

    /// The init as this host sees it, as the kernel noted at its connect.
    private static func process(behind talk: Int32) -> Int32 {
        // struct ucred, which the Glibc module hides: process, user, group.
        var peer: [Int32] = [0, 0, 0]
        var size = socklen_t(peer.count * MemoryLayout<Int32>.size)
        return getsockopt(talk, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer[0] : 0
    }

    private static func silent(_ name: String) -> SandboxError {
        .cannotStart(name: name, reason: "its first process ended without a word")
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
