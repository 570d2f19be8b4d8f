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
