/// An object of the API: JSON with names for what every object has.
public struct KubernetesObject: Sendable, Hashable {
    /// The whole object.
    public var json: JSONValue

    /// - Parameter json: an object; anything else is taken for an empty one.
    public init(_ json: JSONValue) {
        self.json = json.objectValue == nil ? .object([:]) : json
    }

    /// A new object of a kind, without content.
    public init(
        _ resource: KubernetesResource, name: String, namespace: String? = nil, labels: [String: String] = [:],
        annotations: [String: String] = [:]
    ) {
        json = ["apiVersion": .string(resource.apiVersion), "kind": .string(resource.kind)]
        self.name = name
        self.namespace = namespace
        if !labels.isEmpty { self.labels = labels }
        if !annotations.isEmpty { self.annotations = annotations }
    }

    /// A field by its path of member names; setting makes the objects on the way, nil removes the field.
    public subscript(path: String...) -> JSONValue? {
        get { json[path: path] }
        set { json[path: path] = newValue }
    }

    /// As the variadic form, for a path that is a value.
    public subscript(path path: [String]) -> JSONValue? {
        get { json[path: path] }
        set { json[path: path] = newValue }
    }

    /// The object written so that kubectl would read it back.
    public func encode() -> [UInt8] { json.encode() }
}

// MARK: - Identity

extension KubernetesObject {
    /// Empty when absent.
    public var apiVersion: String {
        get { self["apiVersion"]?.stringValue ?? "" }
        set { self["apiVersion"] = .string(newValue) }
    }

    /// Empty when absent.
    public var kind: String {
        get { self["kind"]?.stringValue ?? "" }
        set { self["kind"] = .string(newValue) }
    }

    /// `metadata.name`; empty when absent.
    public var name: String {
        get { self["metadata", "name"]?.stringValue ?? "" }
        set { self["metadata", "name"] = .string(newValue) }
    }

    /// `metadata.namespace`; nil for an object of the whole cluster, or before it is created.
    public var namespace: String? {
        get { self["metadata", "namespace"]?.stringValue }
        set { self["metadata", "namespace"] = newValue.map(JSONValue.string) }
    }

    /// `metadata.uid`; nil before it is created.
    public var uid: String? { self["metadata", "uid"]?.stringValue }

    /// `metadata.resourceVersion`: an opaque text that changes with every write.
    public var resourceVersion: String? {
        get { self["metadata", "resourceVersion"]?.stringValue }
        set { self["metadata", "resourceVersion"] = newValue.map(JSONValue.string) }
    }

    /// `metadata.generation`: counts changes of the spec.
    public var generation: Int64? { self["metadata", "generation"]?.intValue }

    /// Namespace and name, what an object is found by.
    public var key: Key { Key(namespace: namespace, name: name) }

    public struct Key: Sendable, Hashable, CustomStringConvertible {
        public let namespace: String?
        public let name: String

        public init(namespace: String?, name: String) {
            self.namespace = namespace
            self.name = name
        }

        /// "namespace/name" or "name".
        public var description: String { namespace.map { "\($0)/\(name)" } ?? name }
    }
}

// MARK: - Metadata

extension KubernetesObject {
    /// `metadata.labels`; setting an empty set removes the field.
    public var labels: [String: String] {
        get { texts(["metadata", "labels"]) }
        set { setTexts(["metadata", "labels"], newValue) }
    }

    /// `metadata.annotations`; setting an empty set removes the field.
    public var annotations: [String: String] {
        get { texts(["metadata", "annotations"]) }
        set { setTexts(["metadata", "annotations"], newValue) }
    }

    /// `metadata.finalizers`: who must let the object go before it is deleted.
    public var finalizers: [String] {
        get { (self["metadata", "finalizers"]?.arrayValue ?? []).compactMap(\.stringValue) }
        set { self["metadata", "finalizers"] = .array(newValue.map(JSONValue.string)) }
    }

    /// `metadata.creationTimestamp` (RFC 3339).
    public var creationTimestamp: String? { self["metadata", "creationTimestamp"]?.stringValue }

    /// `metadata.deletionTimestamp` (RFC 3339): set once somebody asked for its deletion.
    public var deletionTimestamp: String? { self["metadata", "deletionTimestamp"]?.stringValue }

    /// Whether somebody asked for its deletion.
    public var isBeingDeleted: Bool { deletionTimestamp != nil }

    /// `metadata.ownerReferences`: with whom it is deleted.
    public var ownerReferences: [OwnerReference] {
        get { (self["metadata", "ownerReferences"]?.arrayValue ?? []).compactMap(OwnerReference.init) }
        set { self["metadata", "ownerReferences"] = newValue.isEmpty ? nil : .array(newValue.map(\.json)) }
    }

    public var spec: JSONValue? {
        get { self["spec"] }
        set { self["spec"] = newValue }
    }

    public var status: JSONValue? {
        get { self["status"] }
        set { self["status"] = newValue }
    }

    private func texts(_ path: [String]) -> [String: String] {
        (json[path: path]?.objectValue ?? [:]).compactMapValues(\.stringValue)
    }

    private mutating func setTexts(_ path: [String], _ texts: [String: String]) {
        json[path: path] = texts.isEmpty ? nil : .object(texts.mapValues(JSONValue.string))
    }
}

extension KubernetesObject: Codable {
    public init(from decoder: any Decoder) throws { self.init(try JSONValue(from: decoder)) }
    public func encode(to encoder: any Encoder) throws { try json.encode(to: encoder) }
}
