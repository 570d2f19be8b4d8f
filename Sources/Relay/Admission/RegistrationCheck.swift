import MeshIdentity
import Synchronization

/// Asks the registry whether a DID is registered and keeps its answers for a short time (AgentMesh wire §7).
final class RegistrationCheck: Sendable {
    enum Verdict: Sendable, Equatable {
        /// - Parameter isVerified: whether its tier is `verified`.
        case registered(isVerified: Bool)
        case unknown
        /// The registry gave no usable answer; the reason is for the operator.
        case unavailable(String)
    }

    private struct Answer {
        let verdict: Verdict
        let expires: ContinuousClock.Instant
    }

    private let registry: RegistryClient
    private let limits: RelayLimits
    /// Guards the answers; held for a look-up or an insertion.
    private let answers = Mutex<[MeshAddress: Answer]>([:])

    init(registry: RegistryClient, limits: RelayLimits) {
        self.registry = registry
        self.limits = limits
    }

    /// A kept answer or a new one. An unavailable registry is asked again every time.
    func verdict(for did: DID) async -> Verdict {
        let address = MeshAddress(did)
        let now = ContinuousClock.now
        if let answer = answers.withLock({ $0[address] }), answer.expires > now { return answer.verdict }
        let verdict: Verdict =
            switch await registry.agent(address) {
            case .agent(let isVerified, _): .registered(isVerified: isVerified)
            case .unknown: .unknown
            case .unavailable(let reason): .unavailable(reason)
            }
        switch verdict {
        case .registered: keep(verdict, for: address, until: now + limits.registeredFor)
        case .unknown: keep(verdict, for: address, until: now + limits.unregisteredFor)
        case .unavailable: break
        }
        return verdict
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
