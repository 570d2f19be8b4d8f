/// Collects what is wrong with a spec.
public struct SpecProblems: Sendable {
    public private(set) var list: [SpecProblem] = []

    public mutating func add(_ path: String, _ message: String) {
        list.append(SpecProblem(path: path, message: message))
    }

    /// Notes a rule that does not hold.
    public mutating func expect(_ holds: Bool, _ path: String, _ message: @autoclosure () -> String) {
        if !holds { add(path, message()) }
    }

    /// Notes a text that has not the form; none is no problem.
    mutating func text(_ value: String?, _ path: String, _ form: TextForm) {
        if let value, !form.holds(value) { add(path, "must be \(form.name)") }
    }

    /// Notes a number outside of the bounds; none is no problem.
    mutating func number(_ value: Int64?, _ path: String, _ bounds: ClosedRange<Int64>) {
        guard let value, !bounds.contains(value) else { return }
        add(path, "must be \(bounds.lowerBound) to \(bounds.upperBound), not \(value)")
    }

    /// Notes each value that stands there twice.
    mutating func unique(_ values: [String], _ path: (Int) -> String) {
        var seen: Set<String> = []
        for (index, value) in values.enumerated() where !seen.insert(value).inserted {
            add(path(index), "must not repeat \(value)")
        }
    }

    /// Notes members that must not stand beside a signed bundle, which says the same.
    mutating func alone(_ bundle: ArtifactReference?, beside members: [(String, Bool)]) {
        guard let bundle else { return }
        bundle.check(&self, at: "spec.bundleRef")
        let others = members.filter(\.1).map(\.0)
        expect(others.isEmpty, "spec.bundleRef", "must not stand beside \(others.joined(separator: ", "))")
    }
}

extension ClosedRange<Int64> {
    /// What the contract calls uint32.
    static var unsigned32: Self { 0...4_294_967_295 }
    /// What the contract calls uint64, as far as JSON numbers of an API server go.
    static var unsigned64: Self { 0...Int64.max }
}
