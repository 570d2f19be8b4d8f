import FoundationEssentials
import Storage
import Transport

/// Keeps what authenticates requests, and renews it: a token file is read again every minute, a plug-in is run again
/// when what it gave expires; both also after the server refused it.
actor KubernetesCredentials {
    /// How long a token file's content is used without another look, as other clients do.
    private static let fileAge = Duration.seconds(60)
    private static let maximumTokenBytes = 1 << 20

    private struct Kept {
        let credential: Credential
        /// By the monotonic clock, for a file.
        let readAt: ContinuousClock.Instant
        /// By the wall clock, as a plug-in says; nil for never.
        let expires: Date?
    }

    private let source: CredentialSource
    private let now: @Sendable () -> Date
    private var kept: Kept?
    private var count = 0
    /// The plug-in under way: all who need it wait for the one.
    private var running: Task<Result<ExecPlugin.Answer, KubernetesError>, Never>?

    init(_ configuration: KubernetesConfiguration, now: @escaping @Sendable () -> Date = { Date() }) {
        source = configuration.source
        self.now = now
    }

    /// What to show now.
    func current() async throws(KubernetesError) -> Credential {
        switch source {
        case .none: return Credential()
        case .token(let token): return Credential(authorization: "Bearer \(token.text)")
        case .password(let user, let password):
            let pair = Data("\(user):\(password.text)".utf8).base64EncodedString()
            return Credential(authorization: "Basic \(pair)")
        case .tokenFile(let path): return try fromFile(path)
        case .plugin(let plugin): return try await from(plugin)
        }
    }

    /// Forgets a credential the server refused.
    ///
    /// - Returns: whether another one can be had.
    func renew(after refused: Credential) -> Bool {
        switch source {
        case .none, .token, .password: return false
        case .tokenFile, .plugin:
            // Somebody else may have renewed it already.
            if kept?.credential.number == refused.number { kept = nil }
            return true
        }
    }

    private func fromFile(_ path: String) throws(KubernetesError) -> Credential {
        let moment = ContinuousClock.now
        if let kept, moment - kept.readAt < Self.fileAge { return kept.credential }
        let bytes: [UInt8]?
        do { bytes = try AtomicFile.read(path, limit: Self.maximumTokenBytes) } catch {
            throw .credentials("the token file \(path) cannot be read: \(error)")
        }
        let token = String(decoding: bytes ?? [], as: UTF8.self).filter { !$0.isWhitespace }
        guard !token.isEmpty else {
            throw .credentials("there is no token in \(path); sign in again or correct tokenFile of the context's user")
        }
        count += 1
        let credential = Credential(authorization: "Bearer \(token)", number: count)
        kept = Kept(credential: credential, readAt: moment, expires: nil)
        return credential
    }

    private func from(_ plugin: ExecPlugin) async throws(KubernetesError) -> Credential {
        if let kept, kept.expires.map({ $0 > now() }) ?? true { return kept.credential }
        let task: Task<Result<ExecPlugin.Answer, KubernetesError>, Never>
        if let running {
            task = running
        } else {
            task = Task.detached { await plugin.run() }
            running = task
        }
        let result = await task.value
        // Only the first of those who waited finds it still there.
        if running == task {
            running = nil
            if case .success(let answer) = result {
                count += 1
                kept = Kept(
                    credential: Credential(
                        authorization: answer.token.map { "Bearer \($0.text)" }, identity: answer.identity, number: count),
                    readAt: .now, expires: answer.expires)
            }
        }
        let answer = try result.get()
        if let expires = answer.expires, expires <= now() {
            throw .credentials(
                "the credentials that \(plugin.command) gave have expired; sign in again, or check the clock of this machine")
        }
        return kept?.credential
            ?? Credential(authorization: answer.token.map { "Bearer \($0.text)" }, identity: answer.identity)
    }
}
