/// A corpus of cases that a sandbox is held against (resources §9).
public struct KarsEvalSpec: CustomResourceSpec {
    public static let resource = KubernetesResource.karsEvals

    /// One of both.
    public struct Corpus: Codable, Sendable, Equatable {
        public var builtin: String?
        public var bundleRef: ArtifactReference?
    }

    public var targetSandboxRef: NameReference
    public var corpus: Corpus
    public var schedule: String?
    public var failSandboxOnDrift: Bool?
    public var displayName: String?
    public var runnerImage: String?

    public func check(_ found: inout SpecProblems) {
        found.text(targetSandboxRef.name, "spec.targetSandboxRef.name", .length(1...253))
        found.expect(
            (corpus.builtin == nil) != (corpus.bundleRef == nil), "spec.corpus", "must have one of builtin and bundleRef")
        found.text(corpus.builtin, "spec.corpus.builtin", .length(1...253))
        corpus.bundleRef?.check(&found, at: "spec.corpus.bundleRef")
        found.text(schedule, "spec.schedule", .schedule)
        found.text(displayName, "spec.displayName", .length(1...256))
        found.text(runnerImage, "spec.runnerImage", .length(1...512))
    }
}
