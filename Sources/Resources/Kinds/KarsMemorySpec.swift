/// The memory store a sandbox reads and writes (resources §8).
public struct KarsMemorySpec: CustomResourceSpec {
    public static let resource = KubernetesResource.karsMemories

    public var sandboxRef: NameReference
    public var storeName: String?
    /// `agent_<sandbox>` where there is none.
    public var scope: String?
    public var retentionDays: Int64?
    /// True where there is none.
    public var deleteOnSandboxDelete: Bool?
    public var displayName: String?
    public var bundleRef: ArtifactReference?

    public func check(_ found: inout SpecProblems) {
        found.text(sandboxRef.name, "spec.sandboxRef.name", .length(1...253))
        found.expect(bundleRef != nil || storeName != nil, "spec.storeName", "is missing")
        found.text(storeName, "spec.storeName", .label)
        found.expect(
            scope.map { $0.wholeMatch(of: /[A-Za-z0-9_.\/%+@\-]{1,256}/) != nil } ?? true, "spec.scope",
            "must be 1 to 256 of A-Z a-z 0-9 _ . / % + @ -")
        found.number(retentionDays, "spec.retentionDays", 1...4_294_967_295)
        found.alone(
            bundleRef,
            beside: [
                ("storeName", storeName != nil), ("scope", scope != nil), ("retentionDays", retentionDays != nil),
                ("deleteOnSandboxDelete", deleteOnSandboxDelete != nil), ("displayName", displayName != nil),
            ])
    }
}
