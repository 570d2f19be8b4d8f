/// Where an agent's requests go.
public enum AgentRoute: Sendable, Equatable {
    /// To the agent on this peer, over its Unix socket.
    case local(socket: String)
    /// Nowhere for the moment: they wait, in order.
    case held
    /// To the agent's new home.
    case forward(PeerIdentity)
    /// Nowhere: the agent is stopped.
    case stopped

    public var isLocal: Bool {
        if case .local = self { true } else { false }
    }
}

/// The way in to this peer's agents, as the sandboxes see it; the gate of module Handoff.
public protocol AgentDoor: Sendable {
    /// Makes an agent reachable for those who know its token, or changes where its requests go.
    func open(_ agent: String, token: String, route: AgentRoute)
    /// Holds the agent's requests until it is opened again, and waits for those under way.
    ///
    /// - Returns: false when they did not end in time; new ones are held all the same.
    func hold(_ agent: String) async -> Bool
    /// Takes the agent's address away.
    func remove(_ agent: String)
}
