import Transport

// MARK: - Watching

extension KubernetesClient {
    /// What happens to the objects of a kind from a resource version on, without a gap, over as many connections as it
    /// takes.
    ///
    /// It has one consumer, which is never given more than it asks for, and ends when that one goes away or is
    /// cancelled.
    /// - Parameters:
    ///   - namespace: nil for all of them.
    ///   - version: of the list or object that is known already.
    /// - Returns: a stream that ends with a ``KubernetesError``: ``KubernetesError/expired(_:)`` when the server has
    ///   forgotten the version, so that the caller must list again; another one when the server refuses, or does not
    ///   come back within the client's repetitions.
    public func watch(
        _ resource: KubernetesResource, namespace: String? = nil, labelSelector: String? = nil,
        fieldSelector: String? = nil, from version: String
    ) throws(KubernetesError) -> AsyncThrowingStream<WatchEvent, any Error> {
        let cursor = try cursor(
            resource, namespace: namespace, labelSelector: labelSelector, fieldSelector: fieldSelector, from: version)
        return AsyncThrowingStream { try await cursor.next() }
    }

    /// All objects of a kind, and then every change, for ever: lists again whenever a gap may have hidden something.
    ///
    /// It has one consumer, which is never given more than it asks for, and ends when that one goes away or is
    /// cancelled.
    /// - Returns: a stream that begins with ``ResourceChange/synced(_:)``. It ends with a ``KubernetesError`` when
    ///   there can be no first list (no permission, no such kind), and with ``KubernetesError/cancelled``; later
    ///   failures are logged and waited out.
    public func follow(
        _ resource: KubernetesResource, namespace: String? = nil, labelSelector: String? = nil,
        fieldSelector: String? = nil
    ) -> AsyncThrowingStream<ResourceChange, any Error> {
        let cursor = FollowCursor(
            self, resource, namespace: namespace, labelSelector: labelSelector, fieldSelector: fieldSelector)
        return AsyncThrowingStream { try await cursor.next() }
    }

    func cursor(
        _ resource: KubernetesResource, namespace: String?, labelSelector: String?, fieldSelector: String?,
        from version: String
    ) throws(KubernetesError) -> WatchCursor {
        WatchCursor(
            self, resource, path: try KubernetesPath.of(resource, namespace: namespace),
            selection: Self.selection(labelSelector, fieldSelector),
            action: "watch \(KubernetesPath.display(resource, namespace: namespace))", version: version)
    }
}

// MARK: - Logs

extension KubernetesClient {
    /// What a container prints, as it comes.
    ///
    /// - Parameters:
    ///   - container: nil for the only one.
    ///   - follows: goes on until the container ends; otherwise the stream ends with what is there.
    ///   - tailLines: begins with that many last lines; nil begins with the first.
    ///   - sinceSeconds: leaves out what is older.
    ///   - isPrevious: reads the container's last life instead of the present one.
    ///   - withTimestamps: puts a time (RFC 3339) before each line.
    /// - Returns: pieces in order, not cut at lines; one consumer.
    public func logs(
        pod: String, namespace: String? = nil, container: String? = nil, follows: Bool = false, tailLines: Int? = nil,
        sinceSeconds: Int? = nil, isPrevious: Bool = false, withTimestamps: Bool = false
    ) async throws(KubernetesError) -> HTTPBodyReader {
        var query: [(String, String)] = []
        if let container { query.append(("container", container)) }
        if follows { query.append(("follow", "true")) }
        if let tailLines { query.append(("tailLines", String(tailLines))) }
        if let sinceSeconds { query.append(("sinceSeconds", String(sinceSeconds))) }
        if isPrevious { query.append(("previous", "true")) }
        if withTimestamps { query.append(("timestamps", "true")) }
        // A container may say nothing for long.
        return try await stream(
            try request("GET", "read", .pods, pod, namespace, "log", query: query),
            silence: follows ? .seconds(24 * 3600) : Self.patience)
    }
}
