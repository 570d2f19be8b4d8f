/// One entry of `metadata.ownerReferences`.
public struct OwnerReference: Sendable, Hashable {
    public var apiVersion: String
    public var kind: String
    public var name: String
    public var uid: String
    /// Whether the owner is the one that manages the object.
    public var isController: Bool
    /// Whether the owner stays, on a deletion in the foreground, until the object is gone.
    public var blocksOwnerDeletion: Bool

    public init(
        apiVersion: String, kind: String, name: String, uid: String, isController: Bool = true,
        blocksOwnerDeletion: Bool = true
    ) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.name = name
        self.uid = uid
        self.isController = isController
        self.blocksOwnerDeletion = blocksOwnerDeletion
    }

    /// The reference to an object the API server has; nil before it has a uid.
    public init?(to owner: KubernetesObject) {
        guard let uid = owner.uid else { return nil }
        self.init(apiVersion: owner.apiVersion, kind: owner.kind, name: owner.name, uid: uid)
    }

    init?(_ json: JSONValue) {
        guard let apiVersion = json["apiVersion"]?.stringValue, let kind = json["kind"]?.stringValue,
            let name = json["name"]?.stringValue, let uid = json["uid"]?.stringValue
        else { return nil }
        self.init(
            apiVersion: apiVersion, kind: kind, name: name, uid: uid,
            isController: json["controller"]?.boolValue ?? false,
            blocksOwnerDeletion: json["blockOwnerDeletion"]?.boolValue ?? false)
    }

    var json: JSONValue {
        [
            "apiVersion": .string(apiVersion), "kind": .string(kind), "name": .string(name), "uid": .string(uid),
            "controller": .bool(isController), "blockOwnerDeletion": .bool(blocksOwnerDeletion),
        ]
    }
}
