import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import Registry

/// New keys of agents that are their own home.
struct SuccessionTests {
    let registry: Fixture
    let agent: Identity
    let new: Identity
    let laptop: Identity

    init() async throws {
        registry = try Fixture()
        agent = await registry.register(capabilities: ["chat"])
        new = await registry.register(capabilities: ["chat"])
        laptop = await registry.register()
    }

    private func certificate(_ old: Identity, _ new: Identity, epoch: UInt64) -> SuccessionCertificate {
        .make(old: old, new: new, reason: "rotation", epoch: epoch, now: registry.now)
    }

    private func post(_ certificate: SuccessionCertificate) async throws -> Answer {
        await registry.send("POST", "/v1/registry/succession", body: Array(try JSONEncoder().encode(certificate)))
    }

    private func put(_ epoch: Int, to home: Identity, by signer: Identity) async throws -> Answer {
        let update = HomeUpdate.make(
            agent: agent.did, epoch: epoch, home: home.did, signer: signer, now: registry.now)
        return await registry.send(
            "PUT", "/v1/agents/\(agent.did)/home", body: Array(try JSONEncoder().encode(update)))
    }

    @Test func anAgentWithoutAHomeChangesItsKeyAgainAndAgain() async throws {
        let first = try await post(certificate(agent, new, epoch: 1))
        #expect(first.status == 200)
        #expect(first.json["agent"] as? String == agent.did.text)
        #expect(first.json["did"] as? String == new.did.text)
        #expect(first.json["home"] as? String == new.did.text)
        #expect(first.json["epoch"] as? Int == 1)
        #expect(
            await registry.send("GET", "/v1/agents/\(agent.did)").json["successor"] as? String == new.did.text)
        let found = await registry.send("GET", "/v1/discover", query: "capability=chat")
        #expect((found.json["results"] as? [[String: Any]])?.map { $0["did"] as? String } == [new.did.text])
        let third = await registry.register()
        #expect(try await post(certificate(new, third, epoch: 2)).json["did"] as? String == third.did.text)
        for did in [agent.did, new.did] {
            #expect(
                await registry.send("GET", "/v1/agents/\(did)").json["successor"] as? String == third.did.text)
        }
        // From here on it moves as any agent does, and the word of its first key is not enough.
        #expect(try await put(3, to: laptop, by: agent).status == 401)
        #expect(try await put(3, to: laptop, by: third).json["home"] as? String == laptop.did.text)
    }

    @Test func aRepeatedCertificateReadsAsTheFirst() async throws {
        let succession = certificate(agent, new, epoch: 1)
        let first = try await post(succession)
        registry.advance(3600)
        let again = try await post(succession)
        #expect(again.status == 200)
        #expect(again.text == first.text)
        let size = try await registry.store.logState().size
        #expect(size == 4)
    }

    @Test func anAgentThatLivesElsewhereChangesItsKeyWithItsHome() async throws {
        let home = try await put(1, to: laptop, by: agent)
        let refused = try await post(certificate(agent, new, epoch: 2))
        #expect(refused.status == 409)
        #expect(refused.detail.contains(laptop.did.text))
        #expect((refused.json["home"] as? [String: Any])?["epoch"] as? Int == 1)
        #expect(await registry.send("GET", "/v1/agents/\(agent.did)/home").text == home.text)
    }

    @Test func anAgentThatNamedItselfItsHomeChangesItsKey() async throws {
        #expect(try await put(1, to: agent, by: agent).status == 200)
        #expect(try await post(certificate(agent, new, epoch: 2)).json["home"] as? String == new.did.text)
    }

    @Test func whatBothKeysDidNotSignChangesNothing() async throws {
        let honest = certificate(agent, new, epoch: 1)
        let oneHanded = SuccessionCertificate(
            oldKey: agent.publicKey, newKey: new.publicKey, reason: "", epoch: 1, timestamp: honest.timestamp,
            signature: Base64.decode(honest.proof)!, proof: Base64.decode(honest.proof)!)
        #expect(try await post(oneHanded).status == 401)
        #expect(try await post(certificate(Identity.generate(), new, epoch: 1)).status == 404)
        #expect(try await post(certificate(agent, Identity.generate(), epoch: 1)).status == 422)
        #expect(try await post(certificate(agent, new, epoch: 2)).status == 409)
        #expect(try await post(certificate(agent, new, epoch: UInt64.max)).status == 400)
        #expect(try await post(certificate(agent, new, epoch: 0)).status == 400)
        // An old key that was followed already gives nothing away a second time.
        _ = try await post(honest)
        #expect(try await post(certificate(agent, laptop, epoch: 2)).status == 422)
        #expect(try await post(certificate(new, agent, epoch: 2)).status == 422)
        #expect(try await post(certificate(agent, laptop, epoch: 1)).status == 409)
    }

    @Test func aRevokedKeyNeitherGivesNorTakes() async throws {
        let revocation = try RevocationCertificate.make(identity: new, reason: "stolen", now: registry.now)
        let body = Array(try JSONEncoder().encode(revocation))
        #expect(await registry.send("POST", "/v1/agents/\(new.did)/revoke", body: body).status == 200)
        #expect(try await post(certificate(agent, new, epoch: 1)).status == 422)
        #expect(try await post(certificate(new, laptop, epoch: 1)).status == 401)
    }

    @Test func aSuccessorOfAnotherLineageIsRefusedAndTheNextOneIsTaken() async throws {
        let other = await registry.register(), taken = await registry.register()
        #expect(try await post(certificate(other, taken, epoch: 1)).status == 200)
        for _ in 0..<2 { #expect(try await post(certificate(agent, taken, epoch: 1)).status == 422) }
        #expect(await registry.send("GET", "/v1/agents/\(agent.did)/home").status == 404)
        #expect(try await post(certificate(agent, new, epoch: 1)).status == 200)
    }

    @Test func ofRacingSuccessorsExactlyOneWins() async throws {
        var others: [Identity] = []
        for _ in 0..<8 { others.append(await registry.register()) }
        let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
            for other in others {
                let word = certificate(agent, other, epoch: 1)
                group.addTask { try await post(word) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.filter { $0.status == 200 }.count == 1)
        #expect(answers.filter { $0.status == 409 }.count == 7)
    }

    @Test func theLogHoldsTheCertificate() async throws {
        let word = certificate(agent, new, epoch: 1)
        _ = try await post(word)
        for (did, kind) in [(agent.did, "home"), (new.did, "succession")] {
            let answer = await registry.send("GET", "/v1/log/proof", query: "did=\(did)&kind=\(kind)")
            let proof = try JSONDecoder().decode(LogProof.self, from: Data(answer.text.utf8))
            let binding = try proof.verify(about: did)
            #expect(binding.kind == .succession)
            #expect(binding.succession?.certificate == word)
            #expect(binding.residence?.home == new.did.canonical)
        }
    }
}
