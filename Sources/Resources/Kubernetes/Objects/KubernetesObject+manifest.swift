extension KubernetesObject {
    /// The objects of a manifest in YAML or JSON, in order; those of a `List` one by one.
    ///
    /// - Throws: ``KubernetesError/invalidRequest(_:)`` with the place, or for something that is no object.
    public static func read(manifest bytes: [UInt8]) throws(KubernetesError) -> [KubernetesObject] {
        let documents: [JSONValue]
        do { documents = try YAML.documents(bytes) } catch { throw .invalidRequest("the manifest is no YAML: \(error)") }
        var objects: [KubernetesObject] = []
        for document in documents where !document.isNull {
            let isList = document["kind"]?.stringValue?.hasSuffix("List") == true
            for json in (isList ? document["items"]?.arrayValue : nil) ?? [document] {
                let object = KubernetesObject(json)
                guard !object.apiVersion.isEmpty, !object.kind.isEmpty, !object.name.isEmpty else {
                    throw .invalidRequest(
                        "object \(objects.count + 1) of the manifest lacks apiVersion, kind or metadata.name")
                }
                objects.append(object)
            }
        }
        return objects
    }
}

extension KubernetesResource {
    /// The kind of an object, where it is one of those named here; nil otherwise.
    public static func known(_ object: KubernetesObject) -> KubernetesResource? {
        all.first { $0.kind == object.kind && $0.apiVersion == object.apiVersion }
    }

    /// Every kind named here.
    private static let all: [KubernetesResource] = allKars + [
        namespaces, nodes, pods, services, serviceAccounts, secrets, configMaps, persistentVolumeClaims, events,
        deployments, replicaSets, jobs, networkPolicies, leases, customResourceDefinitions, roles, roleBindings,
        clusterRoles, clusterRoleBindings,
    ]
}
