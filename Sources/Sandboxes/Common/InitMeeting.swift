import Glibc

/// Where the node meets the init of a sandbox that could inherit nothing from it, and hands it the logs.
///
/// The order makes a crash of the node harmless at every step: the init waits for a first byte, answers once its
/// gateway listens, and starts the agent on another. It ends by itself when the node is gone before.
struct InitMeeting: Sendable {
    /// How long a sandbox may take from its start until its init is there, and the init to listen.
    static let patience = Duration.seconds(30)

    private let name: String
    private let folders: SandboxFolders
    private let listener: Int32

    /// Opens the place; the sandbox's folders are ready. Whoever makes it calls ``end()``.
    init(spec: SandboxSpec, folders: SandboxFolders, owner: SandboxOwner) throws(SandboxError) {
        name = spec.name
        self.folders = folders
        listener = try DescriptorPassing.listen(in: folders.run, name: SandboxLayout.controlName)
        do throws(SandboxError) { try owner.own(folders.control) } catch {
            close(listener)
            throw error
        }
    }

    func end() { close(listener) }

    /// Waits for the init and takes it to the point where its agent can start.
    ///
    /// - Parameters:
    ///   - loaded: the agent knows standby, and is started to wait.
    ///   - isAlive: asked from time to time, because what ended will never come.
    /// - Returns: the way to the init, whose end ends it; the gateway's socket (`O_PATH`); and the init as this host
    ///   sees it, 0 where it cannot.
    func hold(
        loaded: Bool, isAlive: () async throws(SandboxError) -> Bool
    ) async throws(SandboxError) -> (talk: Int32, socket: Int32, process: Int32) {
        let talk = try await meet(isAlive)
        do throws(SandboxError) {
            return (talk, try await introduce(talk, loaded: loaded), Self.process(behind: talk))
        } catch {
            close(talk)
            throw error
        }
    }

    private func meet(_ isAlive: () async throws(SandboxError) -> Bool) async throws(SandboxError) -> Int32 {
        let deadline = ContinuousClock.now + Self.patience
        var looks = 0
        while true {
            var wait = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            if poll(&wait, 1, 0) == 1 { break }
            looks += 1
            if looks.isMultiple(of: 50), try await !isAlive() {
                throw .cannotStart(name: name, reason: "its container ended")
            }
            guard ContinuousClock.now < deadline else {
                throw .cannotStart(name: name, reason: "its init did not come within \(Self.patience)")
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
        guard send(talk, &word, 1, Int32(MSG_NOSIGNAL)) == 1 else { throw silent }
        let deadline = ContinuousClock.now + Self.patience
        var wait = pollfd(fd: talk, events: Int16(POLLIN), revents: 0)
        while poll(&wait, 1, 0) != 1 {
            guard ContinuousClock.now < deadline else { throw silent }
            try? await Task.sleep(for: .milliseconds(2))
        }
        var byte: UInt8 = 0
        guard recv(talk, &byte, 1, 0) == 1 else { throw silent }
        let socket = try folders.openSocket()
        if loaded {
            // An agent that cannot be loaded shows when it is to start.
            word = SandboxInit.Word.load
            _ = send(talk, &word, 1, Int32(MSG_NOSIGNAL))
        }
        return socket
    }

    /// As the kernel noted at its connect.
    private static func process(behind talk: Int32) -> Int32 {
        // struct ucred, which the Glibc module hides: process, user, group.
        var peer: [Int32] = [0, 0, 0]
        var size = socklen_t(peer.count * MemoryLayout<Int32>.size)
        return getsockopt(talk, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer[0] : 0
    }

    private var silent: SandboxError {
        .cannotStart(name: name, reason: "its first process ended without a word")
    }
}

/// A container in which all is ready but the agent: its init waits for the word to start it.
struct ReadySandbox<Run: LivingSandbox>: StandbySandbox {
    let run: Run
    let name: String
    /// The gateway's socket as an `O_PATH` descriptor.
    let socket: Int32
    /// The way to the init; closing it ends the init.
    let talk: Int32

    /// Says the word; the descriptors are the caller's, or closed when this throws.
    func startAgent() throws(SandboxError) {
        defer { close(talk) }
        var word = SandboxInit.Word.start
        guard send(talk, &word, 1, Int32(MSG_NOSIGNAL)) == 1 else {
            close(socket)
            throw .cannotStart(name: name, reason: "its container ended")
        }
    }

    func discard() {
        close(talk)
        close(socket)
    }
}
