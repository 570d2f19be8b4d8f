import Foundation
import MeshIdentity
import Testing

@testable import MeshNode

struct KnockRulesTests {
    private let identity = Identity.generate()

    private func knock(
        _ intent: Intent = Intent(action: "establish_session"), isBound: Bool = true
    ) -> IncomingKnock {
        IncomingKnock(peer: PeerIdentity(key: identity.publicKey), intent: intent, isBound: isBound)
    }

    private func agent(_ score: Double? = 0.5, revocation: RevocationCertificate? = nil) -> RegisteredAgent {
        RegisteredAgent(did: identity.did.text, publicKey: nil, reputationScore: score, revocation: revocation)
    }

    @Test func anUnregisteredSenderIsRefused() {
        #expect(KnockRules().decide(knock(), sender: nil) == .reject(reason: "not_registered"))
        #expect(KnockRules().decide(knock(), sender: agent()) == .accept())
    }

    @Test(arguments: [(0.5, 500.0, true), (0.5, 501, false), (nil, 0, true), (nil, 1, false), (1, 1000, true)])
    func trustReachesTheThresholdOrIsRefused(_ score: Double?, _ threshold: Double, _ isEnough: Bool) {
        let decision = KnockRules(trustThreshold: threshold).decide(knock(), sender: agent(score))
        #expect(decision == (isEnough ? .accept() : .reject(reason: "insufficient_trust")))
        // The sender's own minimum counts as much.
        let intent = Intent(action: "establish_session", trustMinimum: threshold)
        let other = KnockRules().decide(knock(intent), sender: agent(score))
        #expect(other == (isEnough ? .accept() : .reject(reason: "insufficient_trust")))
    }

    @Test func aMinimumThatIsNoNumberIsNotReached() {
        let intent = Intent(action: "establish_session", trustMinimum: .infinity)
        #expect(KnockRules().decide(knock(intent), sender: agent(1)) == .reject(reason: "insufficient_trust"))
    }

    @Test func capabilitiesAndActionsMustBeHeld() {
        let rules = KnockRules(capabilities: ["chat", "search"], allowedActions: ["establish_session"])
        let able = Intent(action: "establish_session", capabilitiesRequired: ["chat"])
        #expect(rules.decide(knock(able), sender: agent()) == .accept())
        let unable = Intent(action: "establish_session", capabilitiesRequired: ["chat", "fly"])
        #expect(rules.decide(knock(unable), sender: agent()) == .reject(reason: "missing_capability"))
        #expect(rules.decide(knock(Intent(action: "pay")), sender: agent()) == .reject(reason: "policy_denied"))
    }

    @Test func aKnockThatIsNotBoundIsRefusedWhereItMustBe() {
        let rules = KnockRules(requiresBinding: true)
        #expect(rules.decide(knock(isBound: false), sender: agent()) == .reject(reason: "signature_required"))
        #expect(rules.decide(knock(), sender: agent()) == .accept())
        #expect(KnockRules().decide(knock(isBound: false), sender: agent()) == .accept())
    }

    @Test func onlyTheKeysOwnRevocationCounts() throws {
        let own = try RevocationCertificate.make(identity: identity, reason: "", now: Date())
        #expect(KnockRules().decide(knock(), sender: agent(revocation: own)) == .reject(reason: "revoked"))
        let others = try RevocationCertificate.make(identity: .generate(), reason: "", now: Date())
        #expect(KnockRules().decide(knock(), sender: agent(revocation: others)) == .accept())
    }

    @Test func conditionsComeWithTheAcceptance() {
        let conditions = KnockAcceptFrame.Conditions(maxMessages: 3, ttlSeconds: 60, allowedActions: ["chat"])
        let rules = KnockRules(conditions: conditions)
        #expect(rules.decide(knock(), sender: agent()) == .accept(conditions: conditions))
    }
}
