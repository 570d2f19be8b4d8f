/// A whole list, of every page.
public struct KubernetesList: Sendable, Hashable {
    public let items: [KubernetesObject]
    /// From where a watch goes on without a gap.
    public let resourceVersion: String

    public init(items: [KubernetesObject], resourceVersion: String) {
        self.items = items
        self.resourceVersion = resourceVersion
    }
}

/// What becomes of the objects that an object owns when it is deleted.
public enum DeletionPropagation: String, Sendable {
    /// They are deleted first.
    case foreground = "Foreground"
    /// They are deleted afterwards; the usual.
    case background = "Background"
    /// They stay.
    case orphan = "Orphan"
}
