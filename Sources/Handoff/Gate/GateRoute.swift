import MeshNode

/// Where an agent's requests go.
public enum GateRoute: Sendable, Equatable {
    /// To the agent on this peer, over its Unix socket.
    case local(socket: String)
    /// Nowhere for the moment: they wait, in order.
    case held
    /// To the agent's new home.
    case forward(PeerIdentity)
    /// Nowhere: the agent is stopped.
    case stopped
}
