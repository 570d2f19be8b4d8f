import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import Registry

struct HomeTests {
    let registry: Fixture
    let agent: Identity
    let laptop: Identity
    let cluster: Identity

    init() async throws {
        registry = try Fixture()
        agent = await registry.register(capabilities: ["chat"])
        laptop = await registry.register()
        cluster = await registry.register()
    }

    func put(_ update: HomeUpdate, _ name: String? = nil) async throws -> Answer {
        let body = Array(try JSONEncoder().encode(update))
        return await registry.send("PUT", "/v1/agents/\(name ?? agent.did.text)/home", body: body)
    }

    func move(
        epoch: Int, to home: Identity, by signer: Identity, succession: SuccessionCertificate? = nil,
        at date: Date? = nil
    ) -> HomeUpdate {
        .make(
            agent: agent.did, epoch: epoch, home: home.did, signer: signer, succession: succession,
            now: date ?? registry.now)
    }

    func certificate(
        _ old: Identity, _ new: Identity, epoch: UInt64
    ) -> SuccessionCertificate {
        .make(old: old, new: new, reason: "handoff", epoch: epoch, now: registry.now)
    }

    func home(_ name: String? = nil) async -> Answer {
        await registry.send("GET", "/v1/agents/\(name ?? agent.did.text)/home")
    }

    @Test func theAgentNamesItsFirstHomeAndThatHomeMovesIt() async throws {
        #expect(await home().status == 404)
        let created = try await put(move(epoch: 1, to: laptop, by: agent))
        #expect(created.status == 200)
        #expect(created.json["agent"] as? String == agent.did.text)
        #expect(created.json["did"] as? String == agent.did.text)
        #expect(created.json["home"] as? String == laptop.did.text)
        #expect(created.json["epoch"] as? Int == 1)
        #expect(created.json["updated_at"] as? String == MeshTimestamp.format(registry.now))
        #expect(await home().text == created.text)
        registry.advance(1)
        let moved = try await put(move(epoch: 2, to: cluster, by: laptop), agent.publicKey.amid)
        #expect(moved.status == 200)
        #expect(moved.json["epoch"] as? Int == 2)
        #expect(moved.json["home"] as? String == cluster.did.text)
        let history = await registry.send("GET", "/v1/agents/\(agent.did)/home/history")
        let entries = history.json["history"] as? [[String: Any]] ?? []
        #expect(history.json["total"] as? Int == 2)
        #expect(entries.map { $0["epoch"] as? Int } == [2, 1])
        #expect(entries.map { $0["home"] as? String } == [cluster.did.text, laptop.did.text])
        let page = await registry.send("GET", "/v1/agents/\(agent.did)/home/history", query: "limit=1&offset=1")
        #expect((page.json["history"] as? [[String: Any]])?.map { $0["epoch"] as? Int } == [1])
        #expect(page.json["total"] as? Int == 2)
    }

    @Test func onlyTheNextEpochIsWritten() async throws {
        let early = try await put(move(epoch: 2, to: laptop, by: agent))
        #expect(early.status == 409)
        #expect(early.json["home"] == nil)
        _ = try await put(move(epoch: 1, to: laptop, by: agent))
        _ = try await put(move(epoch: 2, to: cluster, by: laptop))
        for epoch in [1, 2, 4] {
            let late = try await put(move(epoch: epoch, to: laptop, by: epoch == 4 ? cluster : laptop))
            #expect(late.status == 409)
            let present = late.json["home"] as? [String: Any]
            #expect(present?["epoch"] as? Int == 2)
            #expect(present?["home"] as? String == cluster.did.text)
        }
        #expect(try await put(move(epoch: 0, to: laptop, by: cluster)).status == 400)
        #expect(try await put(move(epoch: -1, to: laptop, by: cluster)).status == 400)
    }

    @Test func aLongHistoryLosesItsOldestHomes() async throws {
        var limits = RegistryLimits()
        limits.maximumHomesKept = 3
        let registry = try Fixture(limits: limits)
        for identity in [agent, laptop] { await registry.register(identity) }
        var last: HomeUpdate?
        for epoch in 1...8 {
            let update = HomeUpdate.make(
                agent: agent.did, epoch: epoch, home: laptop.did, signer: epoch == 1 ? agent : laptop,
                now: registry.now)
            let body = Array(try JSONEncoder().encode(update))
            #expect(await registry.send("PUT", "/v1/agents/\(agent.did)/home", body: body).status == 200)
            last = update
        }
        let history = await registry.send("GET", "/v1/agents/\(agent.did)/home/history")
        let entries = history.json["history"] as? [[String: Any]] ?? []
        #expect(entries.map { $0["epoch"] as? Int } == [8, 7, 6])
        let body = Array(try JSONEncoder().encode(last))
        #expect(await registry.send("PUT", "/v1/agents/\(agent.did)/home", body: body).json["epoch"] as? Int == 8)
    }

    @Test func nobodyButThePresentHomeMovesAnAgent() async throws {
        for thief in [laptop, cluster] {
            #expect(try await put(move(epoch: 1, to: laptop, by: thief)).status == 401)
        }
        #expect(await home().status == 404)
        _ = try await put(move(epoch: 1, to: laptop, by: agent))
        for thief in [agent, cluster, Identity.generate()] {
            let answer = try await put(move(epoch: 2, to: cluster, by: thief))
            #expect(answer.status == 401)
            #expect(answer.detail.contains("present home"))
        }
        let other = await registry.register()
        let foreign = HomeUpdate.make(
            agent: other.did, epoch: 2, home: cluster.did, signer: laptop, now: registry.now)
        #expect(try await put(foreign).status == 401)
        #expect(await home().json["epoch"] as? Int == 1)
    }

    @Test func anAgentThatLeavesAndComesBackDoesNotTakeItselfFromItsHome() async throws {
        _ = try await put(move(epoch: 1, to: laptop, by: agent))
        #expect(await registry.send("DELETE", "/v1/agents/\(agent.did)", as: agent).status == 204)
        registry.advance(1)
        await registry.register(agent)
        #expect(try await put(move(epoch: 1, to: cluster, by: agent)).status == 409)
        #expect(try await put(move(epoch: 2, to: cluster, by: agent)).status == 401)
        #expect(try await put(move(epoch: 2, to: cluster, by: laptop)).status == 200)
    }

    @Test func aHomeThatLeftTheRegistryStillGivesItsAgentAway() async throws {
        _ = try await put(move(epoch: 1, to: laptop, by: agent))
        #expect(await registry.send("DELETE", "/v1/agents/\(laptop.did)", as: laptop).status == 204)
        #expect(try await put(move(epoch: 2, to: cluster, by: laptop)).status == 200)
    }

    @Test func anUpdateIsGoodForFiveMinutes() async throws {
        for seconds in [-301.0, 301] {
            let update = move(epoch: 1, to: laptop, by: agent, at: registry.now.addingTimeInterval(seconds))
            #expect(try await put(update).status == 401)
        }
        let update = move(epoch: 1, to: laptop, by: agent, at: registry.now.addingTimeInterval(-299))
        #expect(try await put(update).status == 200)
    }

    @Test func aHomeMustBeRegistered() async throws {
        let stranger = Identity.generate()
        let answer = try await put(move(epoch: 1, to: stranger, by: agent))
        #expect(answer.status == 422)
        #expect(answer.detail == "home is not a registered agent")
        #expect(try await put(move(epoch: 1, to: laptop, by: agent), stranger.did.text).status == 404)
        #expect(await home().status == 404)
    }

    @Test func aRepeatedWriteReadsAsTheFirst() async throws {
        let first = move(epoch: 1, to: laptop, by: agent)
        let written = try await put(first)
        #expect(try await put(first).text == written.text)
        let new = await registry.register()
        let second = move(
            epoch: 2, to: cluster, by: laptop, succession: certificate(agent, new, epoch: 2))
        let moved = try await put(second)
        #expect(moved.status == 200)
        registry.advance(30)
        let repeated = try await put(second)
        #expect(repeated.status == 200)
        #expect(repeated.text == moved.text)
        // Signed anew, as a peer does that asks again later.
        let anew = move(epoch: 2, to: cluster, by: laptop, succession: second.succession)
        #expect(try await put(anew).text == moved.text)
        // Almost the same write is another one.
        #expect(try await put(move(epoch: 2, to: cluster, by: laptop)).status == 409)
        #expect(try await put(move(epoch: 2, to: laptop, by: laptop, succession: second.succession)).status == 409)
        #expect(try await put(move(epoch: 2, to: cluster, by: cluster, succession: second.succession)).status == 401)
        let history = await registry.send("GET", "/v1/agents/\(agent.did)/home/history")
        #expect(history.json["total"] as? Int == 2)
    }

    @Test func ofRacingMovesExactlyOneWins() async throws {
        _ = try await put(move(epoch: 1, to: laptop, by: agent))
        var giver = laptop
        for epoch in 2...7 {
            let rivals = [await registry.register(), await registry.register()]
            // Eight of each, because a peer may also race with its own repetition.
            let answers = try await withThrowingTaskGroup(of: (String, Answer).self) { group in
                for home in Array(repeating: rivals, count: 8).joined() {
                    group.addTask { [giver] in
                        (home.did.text, try await put(move(epoch: epoch, to: home, by: giver)))
                    }
                }
                return try await group.reduce(into: [(String, Answer)]()) { $0.append($1) }
            }
            let present = await home()
            #expect(present.json["epoch"] as? Int == epoch)
            let winner = present.json["home"] as? String
            for (did, answer) in answers {
                #expect(answer.status == (did == winner ? 200 : 409), "\(answer.text)")
                let told = did == winner ? answer.json : answer.json["home"] as? [String: Any]
                #expect(told?["home"] as? String == winner)
                #expect(told?["epoch"] as? Int == epoch)
            }
            giver = try #require(rivals.first { $0.did.text == winner })
        }
    }

    @Test func theStoreWritesAnEpochOnce() async throws {
        let writes = [laptop, cluster].map {
            HomeWrite(
                rootKey: agent.publicKey, epoch: 1, home: $0.did,
                word: .move(.make(agent: agent.did, epoch: 1, home: $0.did, signer: agent, now: registry.now)))
        }
        // Both are decided before either is written, as by two requests at one time.
        let first = try await registry.store.write(writes[0], now: registry.now, keeping: 10)
        let second = try await registry.store.write(writes[1], now: registry.now, keeping: 10)
        guard case .written(let record) = first else {
            Issue.record("the first write was refused")
            return
        }
        #expect(record.home == laptop.did.text)
        #expect(second == .conflict)
        #expect(try await registry.store.lineage(of: agent.did)?.record == record)
    }

    @Test func aSuccessionIsWrittenWithItsMove() async throws {
        _ = try await put(move(epoch: 1, to: laptop, by: agent))
        let upload = try makeUpload(of: agent, oneTime: makeOneTime(0..<3))
        _ = try await registry.send("PUT", "/v1/agents/\(agent.did)/prekeys", json: upload, as: agent)
        let new = await registry.register(capabilities: ["chat"])
        let moved = try await put(
            move(epoch: 2, to: cluster, by: laptop, succession: certificate(agent, new, epoch: 2)))
        #expect(moved.status == 200)
        #expect(moved.json["agent"] as? String == agent.did.text)
        #expect(moved.json["did"] as? String == new.did.text)
        // Old names lead to the new key.
        let old = await registry.send("GET", "/v1/agents/\(agent.did)")
        #expect(old.json["did"] as? String == agent.did.text)
        #expect(old.json["successor"] as? String == new.did.text)
        #expect(await registry.send("GET", "/v1/agents/\(new.did)").json["successor"] == nil)
        let prekeys = await registry.send("GET", "/v1/agents/\(agent.did)/prekeys")
        #expect(prekeys.status == 404)
        #expect(prekeys.detail.contains(new.did.text))
        registry.advance(1)
        let refused = try await registry.send("PUT", "/v1/agents/\(agent.did)/prekeys", json: upload, as: agent)
        #expect(refused.status == 403)
        let presence = await registry.send("GET", "/v1/agents/\(agent.did)/presence")
        #expect(presence.json["successor"] as? String == new.did.text)
        let found = await registry.send("GET", "/v1/discover", query: "capability=chat")
        #expect(found.json["total"] as? Int == 1)
        #expect((found.json["results"] as? [[String: Any]])?.first?["did"] as? String == new.did.text)
        // Any key of the lineage finds and moves its home.
        for name in [agent.did.text, agent.publicKey.amid, new.did.text, new.publicKey.agentMeshDID.text] {
            #expect(await home(name).text == moved.text)
        }
        let next = await registry.register()
        let back = try await put(
            move(epoch: 3, to: laptop, by: cluster, succession: certificate(new, next, epoch: 3)), new.did.text)
        #expect(back.status == 200)
        for did in [agent.did, new.did] {
            #expect(await registry.send("GET", "/v1/agents/\(did)").json["successor"] as? String == next.did.text)
        }
        // The old key may leave and still tells where the agent went.
        #expect(await registry.send("DELETE", "/v1/agents/\(agent.did)", as: agent).status == 204)
        let gone = await registry.send("GET", "/v1/agents/\(agent.did)")
        #expect(gone.status == 404)
        #expect(gone.detail.contains(next.did.text))
        #expect(await home().text == back.text)
    }

    @Test func aBadSuccessionMovesNothing() async throws {
        let new = await registry.register()
        #expect(
            try await put(move(epoch: 1, to: laptop, by: agent, succession: certificate(agent, new, epoch: 1))).status
                == 422)
        let created = try await put(move(epoch: 1, to: laptop, by: agent))
        let stranger = Identity.generate()
        let honest = certificate(agent, new, epoch: 2)
        let forged = SuccessionCertificate(
            oldKey: agent.publicKey, newKey: new.publicKey, reason: "", epoch: 2, timestamp: honest.timestamp,
            signature: Base64.decode(honest.proof)!, proof: Base64.decode(honest.proof)!)
        for wrong in [
            certificate(agent, new, epoch: 3), certificate(laptop, new, epoch: 2),
            certificate(agent, stranger, epoch: 2), forged,
        ] {
            let answer = try await put(move(epoch: 2, to: cluster, by: laptop, succession: wrong))
            #expect(answer.status == 422)
        }
        // A signature over a move without succession does not carry one with it, nor the other way round.
        let without = move(epoch: 2, to: cluster, by: laptop)
        let with = move(epoch: 2, to: cluster, by: laptop, succession: honest)
        func mixed(_ update: HomeUpdate, _ succession: SuccessionCertificate?) throws -> HomeUpdate {
            var json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(update)) as! [String: Any]
            json["succession"] = try succession.map {
                try JSONSerialization.jsonObject(with: JSONEncoder().encode($0))
            }
            return try JSONDecoder().decode(HomeUpdate.self, from: JSONSerialization.data(withJSONObject: json))
        }
        #expect(try await put(mixed(without, honest)).status == 401)
        #expect(try await put(mixed(with, nil)).status == 401)
        #expect(await home().text == created.text)
        #expect(await registry.send("GET", "/v1/agents/\(agent.did)").json["successor"] == nil)
        #expect(await home(new.did.text).status == 404)
    }

    @Test func aKeyWithAHomeOfItsOwnSucceedsNobody() async throws {
        let other = await registry.register()
        let own = HomeUpdate.make(agent: other.did, epoch: 1, home: laptop.did, signer: other, now: registry.now)
        #expect(try await put(own, other.did.text).status == 200)
        _ = try await put(move(epoch: 1, to: laptop, by: agent))
        let answer = try await put(
            move(epoch: 2, to: cluster, by: laptop, succession: certificate(agent, other, epoch: 2)))
        #expect(answer.status == 422)
        #expect(await home().json["epoch"] as? Int == 1)
        #expect(await home(other.did.text).json["agent"] as? String == other.did.text)
    }
}
