import FoundationEssentials
import MeshIdentity
import Synchronization
import Transport

/// Asks the registry whether a DID is registered and keeps its answers for a short time (AgentMesh wire §7).
final class RegistrationCheck: Sendable {
    enum Verdict: Sendable, Equatable {
        /// Also of a revoked key: nothing may go by its name.
        case unknown
        /// - Parameter isVerified: whether its tier is `verified`.
        case registered(isVerified: Bool)
        /// The registry gave no usable answer; the reason is for the operator.
        case unavailable(String)
    }

    private struct Answer {
        let verdict: Verdict
        let expires: ContinuousClock.Instant
    }

    private struct Agent: Decodable {
        let tier: String?
        /// Set by our registry when the key is revoked.
        let revoked_at: String?
    }

    private let registry: ServiceURL
    private let client: HTTPClient
    private let limits: RelayLimits
    /// Guards the answers; held for a look-up or an insertion.
    private let answers = Mutex<[MeshAddress: Answer]>([:])

    init(registry: ServiceURL, client: HTTPClient, limits: RelayLimits) {
        self.registry = registry
        self.client = client
        self.limits = limits
    }

    /// A kept answer or a new one. An unavailable registry is asked again every time.
    func verdict(for did: DID) async -> Verdict {
        let address = MeshAddress(did)
        let now = ContinuousClock.now
        if let answer = answers.withLock({ $0[address] }), answer.expires > now { return answer.verdict }
        let verdict = await ask(did)
        switch verdict {
        case .registered: keep(verdict, for: address, until: now + limits.registeredFor)
        case .unknown: keep(verdict, for: address, until: now + limits.unregisteredFor)
        case .unavailable: break
        }
        return verdict
    }

    private func ask(_ did: DID) async -> Verdict {
        do {
            let answer = try await client.send(
                HTTPClientRequest(url: registry.appending(path: "/v1/agents/\(did.canonical)")))
            switch answer.status {
            case 200:
                let agent = try JSONDecoder().decode(Agent.self, from: Data(answer.body))
                return agent.revoked_at == nil ? .registered(isVerified: agent.tier == "verified") : .unknown
            case 404: return .unknown
            default: return .unavailable("status \(answer.status)")
            }
        } catch {
            return .unavailable("\(error)")
        }
    }

    private func keep(_ verdict: Verdict, for address: MeshAddress, until expires: ContinuousClock.Instant) {
        answers.withLock { answers in
            if answers.count >= limits.registrationAnswers {
                let now = ContinuousClock.now
                answers = answers.filter { $0.value.expires > now }
                // Nothing to gain from an order: an answer is asked for again at the price of one request.
                if answers.count >= limits.registrationAnswers { answers.removeAll() }
            }
            answers[address] = Answer(verdict: verdict, expires: expires)
        }
    }
}
