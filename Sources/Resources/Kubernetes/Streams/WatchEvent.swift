/// What a watch tells.
public enum WatchEvent: Sendable, Hashable {
    case added(KubernetesObject)
    case modified(KubernetesObject)
    /// As it was last.
    case deleted(KubernetesObject)
    /// Nothing changed up to this resource version.
    case bookmark(resourceVersion: String)

    /// The object; nil for a bookmark.
    public var object: KubernetesObject? {
        switch self {
        case .added(let object), .modified(let object), .deleted(let object): object
        case .bookmark: nil
        }
    }
}

/// What ``KubernetesClient/follow(_:namespace:labelSelector:fieldSelector:)`` tells.
public enum ResourceChange: Sendable, Hashable {
    /// All objects there are, at the start and whenever a gap may have hidden changes: what is not among them is gone.
    case synced([KubernetesObject])
    /// A new or changed object.
    case changed(KubernetesObject)
    /// An object that is gone, as it was last.
    case removed(KubernetesObject)
}
