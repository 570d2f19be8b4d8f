extension KubernetesClient {
    /// Makes an object; it is never sent twice unless the first one surely did not arrive.
    ///
    /// - Parameter isDryRun: has the server check everything and keep nothing.
    /// - Returns: the object as the server has it.
    /// - Throws: ``KubernetesError/alreadyExists(_:)`` among others.
    @discardableResult
    public func create(
        _ resource: KubernetesResource, _ object: KubernetesObject, fieldManager: String? = nil, isDryRun: Bool = false
    ) async throws(KubernetesError) -> KubernetesObject {
        let namespace = place(resource, object.namespace)
        return try await write(
            KubernetesRequest(
                "POST", try KubernetesPath.of(resource, namespace: namespace), query: Self.writing(fieldManager, isDryRun),
                body: complete(object, resource).encode(),
                action: "create \(KubernetesPath.display(resource, namespace: namespace, name: object.name))",
                isRepeatable: false))
    }

    /// Puts a whole object in place of the one of its name. With its ``KubernetesObject/resourceVersion`` it succeeds
    /// only when nobody changed that one meanwhile.
    ///
    /// - Parameter subresource: such as "status".
    /// - Throws: ``KubernetesError/conflict(_:)`` when it was changed.
    @discardableResult
    public func replace(
        _ resource: KubernetesResource, _ object: KubernetesObject, subresource: String? = nil, fieldManager: String? = nil
    ) async throws(KubernetesError) -> KubernetesObject {
        try await write(
            try request(
                "PUT", "replace", resource, object.name, object.namespace, subresource,
                query: Self.writing(fieldManager, false), body: complete(object, resource).encode()))
    }

    /// Server-side apply: makes the object, or takes over the fields it has and drops those this manager applied
    /// before.
    ///
    /// - Parameters:
    ///   - fieldManager: who applies; the server notes it for every field.
    ///   - force: takes over fields that another manager set; otherwise that is a conflict.
    @discardableResult
    public func apply(
        _ resource: KubernetesResource, _ object: KubernetesObject, fieldManager: String, force: Bool = true,
        isDryRun: Bool = false
    ) async throws(KubernetesError) -> KubernetesObject {
        try await apply(resource, object, nil, fieldManager, force, isDryRun)
    }

    /// As ``apply(_:_:fieldManager:force:isDryRun:)``, for the object's status alone.
    @discardableResult
    public func applyStatus(
        _ resource: KubernetesResource, _ object: KubernetesObject, fieldManager: String, force: Bool = true
    ) async throws(KubernetesError) -> KubernetesObject {
        try await apply(resource, object, "status", fieldManager, force, false)
    }

    /// Changes fields with a merge patch (RFC 7386): null removes a field, a list is replaced whole.
    ///
    /// - Parameters:
    ///   - patch: an object; with `metadata.resourceVersion` it succeeds only when nobody changed the object meanwhile.
    ///   - subresource: such as "status" or "scale".
    @discardableResult
    public func patch(
        _ resource: KubernetesResource, _ name: String, namespace: String? = nil, _ patch: JSONValue,
        subresource: String? = nil, fieldManager: String? = nil
    ) async throws(KubernetesError) -> KubernetesObject {
        try await write(
            try request(
                "PATCH", "change", resource, name, namespace, subresource, query: Self.writing(fieldManager, false),
                contentType: "application/merge-patch+json", body: patch.encode()))
    }

    /// Changes fields of the status with a merge patch.
    ///
    /// - Parameter status: the fields below `status`.
    @discardableResult
    public func patchStatus(
        _ resource: KubernetesResource, _ name: String, namespace: String? = nil, _ status: JSONValue,
        fieldManager: String? = nil
    ) async throws(KubernetesError) -> KubernetesObject {
        try await patch(
            resource, name, namespace: namespace, ["status": status], subresource: "status", fieldManager: fieldManager)
    }

    /// Asks for the deletion of an object; one that is not there is fine. It is gone once its finalizers are.
    ///
    /// - Parameters:
    ///   - uid: deletes the object only when it is this very one.
    ///   - resourceVersion: deletes the object only when it did not change since.
    ///   - gracePeriodSeconds: how long a pod may take to end; nil leaves it to the pod.
    /// - Returns: false when there was none.
    /// - Throws: ``KubernetesError/conflict(_:)`` when a precondition does not hold.
    @discardableResult
    public func delete(
        _ resource: KubernetesResource, _ name: String, namespace: String? = nil,
        propagation: DeletionPropagation? = nil, uid: String? = nil, resourceVersion: String? = nil,
        gracePeriodSeconds: Int? = nil
    ) async throws(KubernetesError) -> Bool {
        var options: JSONValue = ["apiVersion": "v1", "kind": "DeleteOptions"]
        options["propagationPolicy"] = propagation.map { .string($0.rawValue) }
        options["gracePeriodSeconds"] = gracePeriodSeconds.map { .int(Int64($0)) }
        if let uid { options[path: ["preconditions", "uid"]] = .string(uid) }
        if let resourceVersion { options[path: ["preconditions", "resourceVersion"]] = .string(resourceVersion) }
        let request = try self.request("DELETE", "delete", resource, name, namespace, body: options.encode())
        do { _ = try await bytes(request) } catch {
            if case .notFound = error { return false }
            throw error
        }
        return true
    }

    private func apply(
        _ resource: KubernetesResource, _ object: KubernetesObject, _ subresource: String?, _ fieldManager: String,
        _ force: Bool, _ isDryRun: Bool
    ) async throws(KubernetesError) -> KubernetesObject {
        var applied = complete(object, resource)
        // The server refuses an object that names them.
        applied["metadata", "managedFields"] = nil
        var query = Self.writing(fieldManager, isDryRun)
        query.append(("force", force ? "true" : "false"))
        return try await write(
            try request(
                "PATCH", "apply", resource, object.name, object.namespace, subresource, query: query,
                // JSON is YAML.
                contentType: "application/apply-patch+yaml", body: applied.encode()))
    }

    private func write(_ request: KubernetesRequest) async throws(KubernetesError) -> KubernetesObject {
        KubernetesObject(try await json(request))
    }

    private func complete(_ object: KubernetesObject, _ resource: KubernetesResource) -> KubernetesObject {
        var object = Self.named(object.json, resource)
        object.namespace = place(resource, object.namespace)
        return object
    }

    private static func writing(_ fieldManager: String?, _ isDryRun: Bool) -> [(String, String)] {
        var query: [(String, String)] = []
        if let fieldManager { query.append(("fieldManager", fieldManager)) }
        if isDryRun { query.append(("dryRun", "All")) }
        return query
    }
}
