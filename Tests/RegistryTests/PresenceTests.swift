import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import Registry

struct PresenceTests {
    @Test func aHeartbeatKeepsAnAgentOnlineForNinetySeconds() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        let path = "/v1/agents/\(agent.did)/presence"
        registry.advance(100)
        #expect(await registry.send("GET", path).json["online"] as? Bool == false)
        let beat = await registry.send("POST", "/v1/agents/\(agent.did)/heartbeat", as: agent)
        #expect(beat.status == 200)
        #expect(beat.json["last_seen"] as? String == MeshTimestamp.format(registry.now))
        registry.advance(89)
        let presence = await registry.send("GET", path)
        #expect(presence.json["online"] as? Bool == true)
        #expect(presence.json["last_seen"] as? String == beat.json["last_seen"] as? String)
        registry.advance(1)
        #expect(await registry.send("GET", path).json["online"] as? Bool == false)
        #expect(await registry.send("GET", "/v1/agents/nobody/presence").status == 404)
    }

    @Test func heartbeatsComeNoFasterThanEveryTenSeconds() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        let other = await registry.register()
        let path = "/v1/agents/\(agent.did)/heartbeat"
        #expect(await registry.send("POST", path).status == 401)
        #expect(await registry.send("POST", path, as: other).status == 403)
        let header = TimestampAuthorization.header(for: agent, now: registry.now)
        let first = await registry.send("POST", path, authorization: header)
        #expect(first.status == 200)
        let twin = await registry.send("POST", path, authorization: header)
        #expect(twin.status == 429)
        #expect(twin.headers["retry-after"] == "10")
        registry.advance(9.9)
        #expect(await registry.send("POST", path, as: agent).status == 429)
        let presence = await registry.send("GET", "/v1/agents/\(agent.did)/presence")
        #expect(presence.json["last_seen"] as? String == first.json["last_seen"] as? String)
        registry.advance(0.1)
        #expect(await registry.send("POST", path, as: agent).status == 200)
        #expect(await registry.send("POST", "/v1/agents/\(Identity.generate().did)/heartbeat", as: agent).status == 404)
    }
}
