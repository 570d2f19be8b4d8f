import Transport

/// What a run does.
struct LoadPlan: Sendable {
    /// Conversations a run may hold at once.
    static let mostClients = 64

    /// The agent's chat endpoint.
    var url: ServiceURL
    var token: String?
    /// Requests a second.
    var rate: Int
    var duration: Duration
    /// Conversations at the start.
    var clients: Int
    /// Turns in conversation `main` before the load.
    var warmTurns: Int
    var timeout: Duration
    /// How long a request that failed is made again.
    var repetition: Duration
    var tls: ClientTLS

    /// How many requests the load makes.
    var requests: Int {
        let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
        return max(1, Int((seconds * Double(rate)).rounded()))
    }

    /// When request `number`, counted from 0, is due after the start.
    func due(_ number: Int) -> Duration { .seconds(Double(number) / Double(rate)) }
}
