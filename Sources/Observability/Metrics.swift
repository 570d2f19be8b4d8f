import Synchronization

/// The instruments of one service, rendered in the Prometheus text format 0.0.4.
///
/// Series are made when the service starts, at zero, so that an absent one never looks like a healthy one.
public final class Metrics: Sendable {
    public typealias Labels = KeyValuePairs<String, String>

    private enum Instrument: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)

        var type: String {
            switch self {
            case .counter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        }
    }

    private struct Family: Sendable {
        let help: String
        var series: [(labels: String, instrument: Instrument)] = []
    }

    private struct State: Sendable {
        var families: [String: Family] = [:]
        var names: [String] = []
    }

    private let state = Mutex(State())

    public init() {}

    /// The counter of that name and labels, made at the first call.
    public func counter(_ name: String, _ help: String, labels: Labels = [:]) -> Counter {
        let made = find(name, help, labels) { .counter(Counter()) }
        guard case .counter(let counter) = made else { preconditionFailure("\(name) is not a counter") }
        return counter
    }

    /// The gauge of that name and labels, made at the first call.
    public func gauge(_ name: String, _ help: String, labels: Labels = [:]) -> Gauge {
        let made = find(name, help, labels) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = made else { preconditionFailure("\(name) is not a gauge") }
        return gauge
    }

    /// The histogram of that name and labels, made at the first call.
    ///
    /// - Parameter bounds: upper bounds of the buckets, ascending, in the unit the name says.
    public func histogram(
        _ name: String, _ help: String, bounds: [Double], labels: Labels = [:]
    ) -> Histogram {
        let made = find(name, help, labels) { .histogram(Histogram(bounds: bounds)) }
        guard case .histogram(let histogram) = made else {
            preconditionFailure("\(name) is not a histogram")
        }
        return histogram
    }

    private func find(
        _ name: String, _ help: String, _ labels: Labels, _ make: () -> Instrument
    ) -> Instrument {
        let text = labels.map { "\($0)=\"\(Self.escaped($1))\"" }.joined(separator: ",")
        return state.withLock { state in
            if state.families[name] == nil {
                state.families[name] = Family(help: help)
                state.names.append(name)
            }
            if let known = state.families[name]!.series.first(where: { $0.labels == text }) {
                return known.instrument
            }
            let instrument = make()
            state.families[name]!.series.append((text, instrument))
            return instrument
        }
    }

    /// All series, in the order they were made.
    public func prometheusText() -> String {
        state.withLock { state in
            var text = ""
            for name in state.names {
                let family = state.families[name]!
                guard let type = family.series.first?.instrument.type else { continue }
                text += "# HELP \(name) \(family.help)\n# TYPE \(name) \(type)\n"
                for (labels, instrument) in family.series {
                    text += Self.lines(name, labels, instrument)
                }
            }
            return text
        }
    }

    private static func lines(_ name: String, _ labels: String, _ instrument: Instrument) -> String {
        let suffix = labels.isEmpty ? "" : "{\(labels)}"
        switch instrument {
        case .counter(let counter): return "\(name)\(suffix) \(counter.value)\n"
        case .gauge(let gauge): return "\(name)\(suffix) \(gauge.value)\n"
        case .histogram(let histogram):
            let (counts, sum) = histogram.state.withLock { ($0.counts, $0.sum) }
            let prefix = labels.isEmpty ? "" : labels + ","
            var text = ""
            var total = 0
            for (index, count) in counts.enumerated() {
                total += count
                let bound = index < histogram.bounds.count ? "\(histogram.bounds[index])" : "+Inf"
                text += "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(total)\n"
            }
            return text + "\(name)_sum\(suffix) \(sum)\n\(name)_count\(suffix) \(total)\n"
        }
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for character in value {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.append(character)
            }
        }
        return text
    }
}
