import FoundationEssentials

// MARK: - Reading

extension KubernetesClient {
    /// One object; nil when there is none.
    public func get(
        _ resource: KubernetesResource, _ name: String, namespace: String? = nil
    ) async throws(KubernetesError) -> KubernetesObject? {
        let request = try self.request("GET", "read", resource, name, namespace)
        do { return KubernetesObject(try await json(request)) } catch {
            if case .notFound = error { return nil }
            throw error
        }
    }

    /// Every object of a kind, read in pages.
    ///
    /// - Parameters:
    ///   - namespace: nil for all of them.
    ///   - labelSelector: such as "app=web,tier!=test".
    ///   - fieldSelector: such as "status.phase=Running".
    ///   - pageSize: objects asked for at once. A list whose next page has expired begins anew.
    public func list(
        _ resource: KubernetesResource, namespace: String? = nil, labelSelector: String? = nil,
        fieldSelector: String? = nil, pageSize: Int = 500
    ) async throws(KubernetesError) -> KubernetesList {
        let action = "list \(KubernetesPath.display(resource, namespace: namespace))"
        let path = try KubernetesPath.of(resource, namespace: namespace)
        var items: [KubernetesObject] = []
        var token: String?
        var restarts = 0
        while true {
            var query = Self.selection(labelSelector, fieldSelector)
            query.append(("limit", String(pageSize)))
            if let token { query.append(("continue", token)) }
            let page: JSONValue
            do {
                page = try await json(KubernetesRequest("GET", path, query: query, action: action))
            } catch {
                // The pages are a view of one moment, which the server forgets after a while.
                guard case .expired = error, token != nil, restarts < 3 else { throw error }
                (items, token, restarts) = ([], nil, restarts + 1)
                continue
            }
            guard let elements = page["items"]?.arrayValue ?? (page["items"]?.isNull == true ? [] : nil),
                let version = page[path: ["metadata", "resourceVersion"]]?.stringValue
            else { throw .unusableAnswer(server: server, what: action) }
            items += elements.map { Self.named($0, resource) }
            token = page[path: ["metadata", "continue"]]?.stringValue
            guard let next = token, !next.isEmpty else {
                return KubernetesList(items: items, resourceVersion: version)
            }
        }
    }

    static func selection(_ labels: String?, _ fields: String?) -> [(String, String)] {
        [("labelSelector", labels), ("fieldSelector", fields)].compactMap { name, value in value.map { (name, $0) } }
    }

    /// The elements of a list do not say what they are.
    static func named(_ json: JSONValue, _ resource: KubernetesResource) -> KubernetesObject {
        var object = KubernetesObject(json)
        if object.kind.isEmpty { object.kind = resource.kind }
        if object.apiVersion.isEmpty { object.apiVersion = resource.apiVersion }
        return object
    }
}

// MARK: - Writing

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

// MARK: - Requests about one object

extension KubernetesClient {
    /// The namespace a request about one object goes to; nil for a kind without.
    func place(_ resource: KubernetesResource, _ namespace: String?) -> String? {
        resource.isNamespaced ? namespace ?? configuration.namespace : nil
    }

    func request(
        _ method: String, _ verb: String, _ resource: KubernetesResource, _ name: String, _ namespace: String?,
        _ subresource: String? = nil, query: [(String, String)] = [], contentType: String = "application/json",
        body: [UInt8] = []
    ) throws(KubernetesError) -> KubernetesRequest {
        let namespace = place(resource, namespace)
        let part = subresource.map { "\($0) of " } ?? ""
        return KubernetesRequest(
            method, try KubernetesPath.of(resource, namespace: namespace, name: name, subresource: subresource),
            query: query, contentType: contentType, body: body,
            action: "\(verb) \(part)\(KubernetesPath.display(resource, namespace: namespace, name: name))")
    }
}
