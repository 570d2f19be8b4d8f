import FoundationEssentials
import MeshIdentity
import Transport

/// Sign-in of the person behind an identity (AgentMesh wire §7, `kars mesh auth`).
extension RegistryClient {
    /// A place where a registry lets people sign in.
    public struct SignInProvider: Codable, Sendable {
        /// `github` or `entra`.
        public let name: String
        public let enabled: Bool
        /// For people.
        public let displayName: String?

        private enum CodingKeys: String, CodingKey {
            case name, enabled
            case displayName = "display_name"
        }
    }

    /// A sign-in that waits for its person.
    public struct SignInTicket: Codable, Sendable {
        /// Where the person's browser is to go.
        public let authorizationURL: String
        /// What the result is asked for with; only our own registry gives one.
        public let ticket: String?
        /// Seconds between two questions.
        public let interval: Int?

        private enum CodingKeys: String, CodingKey {
            case ticket, interval
            case authorizationURL = "authorization_url"
        }
    }

    public func signInProviders() async throws -> [SignInProvider] {
        struct Answer: Decodable { let providers: [SignInProvider] }
        let answer: Answer = try await fetch("/v1/auth/oauth/providers", "asking who lets people sign in")
        return answer.providers
    }

    /// Begins a sign-in for a registered identity.
    ///
    /// - Parameters:
    ///   - state: chosen for this sign-in alone; its result repeats it.
    ///   - callback: where on this machine the browser may bring the result.
    public func beginSignIn(
        of identity: Identity, at provider: String, state: String, callback: String?
    ) async throws -> SignInTicket {
        let timestamp = MeshTimestamp.format(Date())
        var body = [
            "amid": identity.amid, "provider": provider, "timestamp": timestamp,
            "signature": Base64.encode(identity.sign(timestamp)), "state": state,
        ]
        body["callback"] = callback
        let response = try await send("POST", "/v1/auth/oauth/authorize", body: PeerJSON.encode(body))
        return try decoded(SignInTicket.self, response, "beginning the sign-in")
    }

    /// What came of a sign-in, its signature unchecked; nil while it is open.
    public func signInResult(of ticket: String) async throws -> SignInResult? {
        struct Answer: Decodable { let result: SignInResult? }
        let response = try await send("POST", "/v1/auth/oauth/poll", body: PeerJSON.encode(["ticket": ticket]))
        return try decoded(Answer.self, response, "asking for the sign-in's result").result
    }
}
