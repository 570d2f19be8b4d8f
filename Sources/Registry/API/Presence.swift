import FoundationEssentials
import MeshIdentity
import Transport

/// Who is there.
extension RegistryAPI {
    private struct PresenceAnswer: Encodable {
        let did: String
        let last_seen: String
        let online: Bool
        let successor: String?
    }

    private struct HeartbeatAnswer: Encodable {
        let did: String
        let last_seen: String
    }

    func presence(of did: String) async throws -> HTTPResponse {
        let agent = try await registered(did)
        let age = now().timeIntervalSince(agent.lastSeen)
        return .json(
            PresenceAnswer(
                did: agent.did, last_seen: MeshTimestamp.format(agent.lastSeen),
                online: age < limits.onlineWithin.inSeconds, successor: agent.successor))
    }

    func heartbeat(of did: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        let agent = try await registered(did)
        // No replay check: a second one within the interval is refused whoever sends it.
        _ = try await caller(of: request, being: agent)
        let time = now()
        let interval = limits.heartbeatInterval
        switch try await store.heartbeat(of: agent.key.did, now: time, interval: interval) {
        case .noted: return .json(HeartbeatAnswer(did: agent.did, last_seen: MeshTimestamp.format(time)))
        case .notRegistered: throw Refusal.missing("agent not found")
        case .tooSoon:
            let seconds = Int(interval.inSeconds.rounded(.up))
            throw Refusal(
                status: 429, detail: "one heartbeat in \(seconds) s", headers: ["retry-after": "\(seconds)"])
        }
    }
}
