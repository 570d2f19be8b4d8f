import Observability

/// The relay's instruments, all at zero from the start.
struct RelayMetrics: Sendable {
    let connections: Gauge
    let agents: Gauge
    let verifiedAgents: Gauge
    let storedMessages: Gauge
    let storedBytes: Gauge
    let routed: Counter
    let stored: Counter
    let deliveredLive: Counter
    let deliveredLater: Counter
    let acknowledged: Counter
    let pauses: Counter
    let succeeded: Counter
    let strangersCut: Counter
    let residentBytes: Gauge
    let isShedding: Gauge
    /// Seconds from the begin of a change to its fsync.
    let commitSeconds: Histogram
    let failedCommits: Counter
    let queuedBytes: Gauge
    private let dropped: [DropReason: Counter]
    private let closed: [CloseReason: Counter]

    init(_ metrics: Metrics) {
        connections = metrics.gauge("kars_relay_connections", "Open WebSockets.")
        agents = metrics.gauge("kars_relay_connected_agents", "Authenticated connections.")
        verifiedAgents = metrics.gauge(
            "kars_relay_verified_agents", "Authenticated connections of agents the registry calls verified.")
        storedMessages = metrics.gauge("kars_relay_inbox_messages", "Messages waiting for an ack.")
        storedBytes = metrics.gauge("kars_relay_inbox_bytes", "Bytes of messages waiting for an ack.")
        routed = metrics.counter("kars_relay_messages_routed_total", "Messages accepted from senders.")
        stored = metrics.counter("kars_relay_messages_stored_total", "Messages committed to an inbox.")
        let help = "Messages sent to their recipients."
        deliveredLive = metrics.counter("kars_relay_messages_delivered_total", help, labels: ["path": "live"])
        deliveredLater = metrics.counter("kars_relay_messages_delivered_total", help, labels: ["path": "inbox"])
        acknowledged = metrics.counter("kars_relay_messages_acknowledged_total", "Messages deleted by an ack.")
        pauses = metrics.counter(
            "kars_relay_read_pauses_total", "Times a connection was not read for its rate or a slow disk.")
        succeeded = metrics.counter(
            "kars_relay_messages_succeeded_total", "Messages given to the successor of their recipient.")
        strangersCut = metrics.counter(
            "kars_relay_strangers_cut_total", "Connections cut on arrival for what their address did before.")
        residentBytes = metrics.gauge("kars_relay_resident_bytes", "Memory the process holds.")
        isShedding = metrics.gauge(
            "kars_relay_shedding", "1 while the memory ceiling is exceeded and new connections are refused.")
        commitSeconds = metrics.histogram(
            "kars_relay_commit_seconds", "Time of a change of the inbox until it is on disk.",
            bounds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5])
        failedCommits = metrics.counter(
            "kars_relay_commits_failed_total", "Changes of the inbox that the disk did not take.")
        queuedBytes = metrics.gauge("kars_relay_queued_bytes", "Bytes of messages on their way to the disk.")
        dropped = Dictionary(
            uniqueKeysWithValues: DropReason.allCases.map {
                ($0, metrics.counter(
                    "kars_relay_frames_dropped_total", "Frames that went no further.", labels: ["reason": $0.rawValue]))
            })
        closed = Dictionary(
            uniqueKeysWithValues: CloseReason.allCases.map {
                ($0, metrics.counter(
                    "kars_relay_connections_closed_total", "Connections the relay closed.",
                    labels: ["reason": $0.rawValue]))
            })
    }

    func count(_ reason: DropReason, _ amount: Int = 1) { dropped[reason]?.add(amount) }
    func count(_ reason: CloseReason) { closed[reason]?.add() }
}
