/// What a client may send (AgentMesh wire §5).
enum FrameType {
    case connect, message, knock, knockAccept, knockReject, ack, heartbeat, fetchPending, disconnect, error

    /// Whether it travels from agent to agent.
    var isForwarded: Bool {
        switch self {
        case .message, .knock, .knockAccept, .knockReject: true
        case .connect, .ack, .heartbeat, .fetchPending, .disconnect, .error: false
        }
    }

    init?(_ name: UnsafeRawBufferPointer) {
        switch name.count {
        case 3 where name.isEqual(to: "ack"): self = .ack
        case 5 where name.isEqual(to: "knock"): self = .knock
        case 5 where name.isEqual(to: "error"): self = .error
        case 7 where name.isEqual(to: "message"): self = .message
        case 7 where name.isEqual(to: "connect"): self = .connect
        case 9 where name.isEqual(to: "heartbeat"): self = .heartbeat
        case 10 where name.isEqual(to: "disconnect"): self = .disconnect
        case 12 where name.isEqual(to: "knock_accept"): self = .knockAccept
        case 12 where name.isEqual(to: "knock_reject"): self = .knockReject
        case 13 where name.isEqual(to: "fetch_pending"): self = .fetchPending
        default: return nil
        }
    }
}
