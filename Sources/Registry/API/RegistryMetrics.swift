import Observability

/// What a registry counts.
struct RegistryMetrics: Sendable {
    /// By hundreds of the status, from 2 to 5.
    private let answers: [Counter]
    let registrations: Counter
    let bundlesServed: Counter
    let oneTimePrekeysServed: Counter
    /// Bundles served without a one-time prekey because their caller took too many.
    let prekeysWithheld: Counter
    let verifications: Counter
    let verificationsRefused: Counter
    let rateLimited: Counter
    let replaysRefused: Counter
    let homeMoves: Counter
    let homeConflicts: Counter
    let failures: Counter

    init(_ metrics: Metrics) {
        answers = (2...5).map {
            metrics.counter(
                "kars_registry_requests_total", "Requests answered, by status class.",
                labels: ["class": "\($0)xx"])
        }
        registrations = metrics.counter("kars_registry_registrations_total", "Agents registered.")
        bundlesServed = metrics.counter("kars_registry_prekey_bundles_total", "Prekey bundles served.")
        oneTimePrekeysServed = metrics.counter(
            "kars_registry_one_time_prekeys_total", "One-time prekeys handed out.")
        prekeysWithheld = metrics.counter(
            "kars_registry_one_time_prekeys_withheld_total",
            "Bundles served without a one-time prekey to a caller that took too many.")
        verifications = metrics.counter("kars_registry_verifications_total", "Agents that became or stayed verified.")
        verificationsRefused = metrics.counter(
            "kars_registry_verifications_refused_total", "Verification tokens refused.")
        rateLimited = metrics.counter(
            "kars_registry_rate_limited_total", "Requests refused because their address sent too many.")
        replaysRefused = metrics.counter("kars_registry_replays_total", "Signed requests that came a second time.")
        homeMoves = metrics.counter("kars_registry_home_writes_total", "Home records written.")
        homeConflicts = metrics.counter(
            "kars_registry_home_conflicts_total", "Home writes refused because another one was first.")
        failures = metrics.counter("kars_registry_failures_total", "Requests answered 500, as the log says why.")
    }

    func answered(_ status: Int) { answers[min(max(status / 100, 2), 5) - 2].add() }
}
