/// Another object of the same namespace.
public struct NameReference: Codable, Sendable, Equatable {
    public var name: String

    public init(name: String) {
        self.name = name
    }

    func check(_ found: inout SpecProblems, at path: String) {
        found.text(name, "\(path).name", .objectName)
    }
}

/// Another object of the same namespace, where none need be named.
public struct OptionalReference: Codable, Sendable, Equatable {
    public var name: String?

    func check(_ found: inout SpecProblems, at path: String) {
        found.text(name, "\(path).name", .objectName)
    }
}

/// A signed artifact in a registry (resources §1).
public struct ArtifactReference: Codable, Sendable, Equatable {
    /// Host and, where it is not the usual one, port.
    public var registry: String
    public var repository: String
    /// Of the manifest; tags are not followed.
    public var digest: String
    /// Media type.
    public var artifactType: String

    func check(_ found: inout SpecProblems, at path: String) {
        found.expect(
            !registry.isEmpty && !registry.contains("/"), "\(path).registry", "must be a host, with a port where it needs one")
        found.text(repository, "\(path).repository", .filled)
        found.expect(
            digest.wholeMatch(of: /sha(256|384|512):[a-f0-9]+/) != nil, "\(path).digest",
            "must be a digest such as sha256:… in lower-case hex")
        found.text(artifactType, "\(path).artifactType", .filled)
    }
}
