import Transport

extension KubernetesClient {
    /// Runs a command in a container to its end.
    ///
    /// With input the container needs `sh` and `head`: the protocol cannot say where input ends, so the command gets it
    /// through `head -c`.
    /// - Parameters:
    ///   - container: nil for the only one.
    ///   - command: the program and its arguments; all together at most some 1,500 bytes, as they are part of the
    ///     address.
    ///   - stdin: its standard input; empty for none. Secrets go here: a command stands in the server's audit log.
    ///   - limit: most bytes of output taken, of both kinds together.
    /// - Throws: ``KubernetesError/tooLarge(what:limit:)`` above the limit; ``KubernetesError/refused(_:)`` when the
    ///   command cannot be started.
    public func exec(
        pod: String, namespace: String? = nil, container: String? = nil, command: [String], stdin: [UInt8] = [],
        limit: Int = 16 << 20
    ) async throws(KubernetesError) -> ExecResult {
        let bounded = stdin.isEmpty
            ? command : ["/bin/sh", "-c", #"head -c "$0" | "$@""#, String(stdin.count)] + command
        let run = try await execStream(
            pod: pod, namespace: namespace, container: container, command: bounded, takesInput: !stdin.isEmpty)
        defer { run.close() }
        // While the input is written, output must be read, or both sides wait for each other.
        let writing = Task { try? await run.write(stdin) }
        defer { writing.cancel() }
        var stdout: [UInt8] = []
        var stderr: [UInt8] = []
        while let piece = try await run.next() {
            switch piece {
            case .stdout(let bytes): stdout += bytes
            case .stderr(let bytes): stderr += bytes
            }
            guard stdout.count + stderr.count <= limit else {
                throw .tooLarge(what: "the output of \(command.first ?? "a command") in pod \(pod)", limit: limit)
            }
        }
        return ExecResult(stdout: stdout, stderr: stderr, status: try await run.wait())
    }

    /// Starts a command in a container.
    ///
    /// - Parameters:
    ///   - takesInput: whether ``PodExec/write(_:)`` will be used.
    ///   - isTerminal: gives the command a terminal; then everything it prints is standard output.
    public func execStream(
        pod: String, namespace: String? = nil, container: String? = nil, command: [String], takesInput: Bool = false,
        isTerminal: Bool = false
    ) async throws(KubernetesError) -> PodExec {
        var query: [(String, String)] = [("stdout", "1"), ("stderr", isTerminal ? "0" : "1")]
        if takesInput { query.append(("stdin", "1")) }
        if isTerminal { query.append(("tty", "1")) }
        if let container { query.append(("container", container)) }
        query += command.map { ("command", $0) }
        let request = try self.request("GET", "run a command in", .pods, pod, namespace, "exec", query: query)
        var hasRenewed = false
        while true {
            let credential = try await credentials.current()
            let run = PodExec(server: server, action: request.action)
            do {
                try await open(request, credential, run)
                return run
            } catch {
                switch error {
                case .refused(status: 401) where !hasRenewed:
                    guard await credentials.renew(after: credential) else { throw await refusal(request, 401) }
                    hasRenewed = true
                case .refused(let status): throw await refusal(request, status)
                default: throw meaning(of: error, request).0
                }
            }
        }
    }

    private func open(
        _ request: KubernetesRequest, _ credential: Credential, _ run: PodExec
    ) async throws(TransportError) {
        var url = configuration.server.appending(path: request.target)
        url.scheme = url.isSecure ? .wss : .ws
        var limits = ServerLimits()
        limits.maximumMessageBytes = 4 << 20
        _ = try await WebSocketClient.connect(
            to: url, on: loop, tls: tls(for: credential), headers: headers(for: credential),
            subprotocols: [ExecFrame.subprotocol], limits: limits, timeout: Self.patience, delegate: run)
    }

    /// A refused handshake tells its status alone. Asked without a handshake, the server runs nothing and gives the
    /// reason.
    private func refusal(_ request: KubernetesRequest, _ status: Int) async -> KubernetesError {
        do {
            _ = try await bytes(request)
        } catch {
            switch error {
            case .unauthorized, .forbidden, .notFound, .invalid, .conflict, .refused:
                if let refusal = error.refusal, refusal.code == status { return error }
            default: break
            }
        }
        return KubernetesRefusal(server: server, action: request.action, code: status).error
    }
}

extension KubernetesError {
    /// What the server said; nil for what it did not say.
    public var refusal: KubernetesRefusal? {
        switch self {
        case .unauthorized(let refusal), .forbidden(let refusal), .notFound(let refusal), .alreadyExists(let refusal),
            .conflict(let refusal), .expired(let refusal), .invalid(let refusal), .busy(let refusal), .refused(let refusal):
            refusal
        default: nil
        }
    }
}
