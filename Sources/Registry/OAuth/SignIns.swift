import FoundationEssentials
import MeshIdentity
import Synchronization

/// The sign-ins under way, kept in memory: one that a restart ends is begun again.
final class SignIns: Sendable {
    /// One person at a provider for one agent.
    struct SignIn: Sendable {
        let agent: PublicKey
        /// As the client wrote it; results repeat it.
        let amid: String
        let provider: String
        /// The client's own.
        let state: String
        /// Where the client listens on its machine; nil when it polls.
        let callback: String?
        /// PKCE's (RFC 7636).
        let verifier: String
        let nonce: String
        let endsAt: Date
    }

    private struct State {
        /// By the value that the provider hands back.
        var open: [String: (signIn: SignIn, ticket: String)] = [:]
        /// By the value that the client polls with: nil while the sign-in is open.
        var results: [String: (result: SignInResult?, endsAt: Date)] = [:]
    }

    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int) { self.limit = limit }

    /// Begins one.
    ///
    /// - Returns: what the provider hands back, and what the client polls with; nil when too many are under way.
    func begin(_ signIn: SignIn, now: Date) -> (state: String, ticket: String)? {
        let names = (Self.secret(), Self.secret())
        return state.withLock { state in
            if state.results.count >= limit {
                state.open = state.open.filter { $0.value.signIn.endsAt > now }
                state.results = state.results.filter { $0.value.endsAt > now }
            }
            guard state.results.count < limit else { return nil }
            state.open[names.0] = (signIn, names.1)
            state.results[names.1] = (nil, signIn.endsAt)
            return names
        }
    }

    /// Takes the sign-in that a browser came back with; the same state finds nothing a second time.
    func take(_ name: String, now: Date) -> (signIn: SignIn, ticket: String)? {
        state.withLock { $0.open.removeValue(forKey: name) }.flatMap { $0.signIn.endsAt > now ? $0 : nil }
    }

    func finish(_ ticket: String, with result: SignInResult) {
        state.withLock { state in
            guard let entry = state.results[ticket] else { return }
            state.results[ticket] = (result, entry.endsAt)
        }
    }

    enum Progress: Sendable {
        case pending, done(SignInResult), unknown
    }

    func progress(of ticket: String, now: Date) -> Progress {
        state.withLock { state in
            guard let entry = state.results[ticket], entry.endsAt > now else { return .unknown }
            return entry.result.map(Progress.done) ?? .pending
        }
    }

    static func secret() -> String { Base64.encodeURL(RandomBytes.make(32)) }
}
