import Observability

/// Where one ``KubernetesClient/follow(_:namespace:labelSelector:fieldSelector:)`` stands.
actor FollowCursor {
    private let client: KubernetesClient
    private let resource: KubernetesResource
    private let namespace: String?
    private let labelSelector: String?
    private let fieldSelector: String?
    private var watch: WatchCursor?
    private var failures = 0
    private var hasSynced = false

    init(
        _ client: KubernetesClient, _ resource: KubernetesResource, namespace: String?, labelSelector: String?,
        fieldSelector: String?
    ) {
        self.client = client
        self.resource = resource
        self.namespace = namespace
        self.labelSelector = labelSelector
        self.fieldSelector = fieldSelector
    }

    /// The next change. Nothing but a cancellation ends it once there was a first list.
    func next() async throws(KubernetesError) -> ResourceChange {
        while true {
            do throws(KubernetesError) {
                guard let watch else { return try await sync() }
                let event = try await watch.next()
                failures = 0
                switch event {
                case .added(let object), .modified(let object): return .changed(object)
                case .deleted(let object): return .removed(object)
                case .bookmark: continue
                }
            } catch {
                watch = nil
                if Task.isCancelled || error == .cancelled { throw .cancelled }
                if !hasSynced && !error.passes { throw error }
                try await rest(error)
            }
        }
    }

    private func sync() async throws(KubernetesError) -> ResourceChange {
        let list = try await client.list(
            resource, namespace: namespace, labelSelector: labelSelector, fieldSelector: fieldSelector)
        watch = try client.cursor(
            resource, namespace: namespace, labelSelector: labelSelector, fieldSelector: fieldSelector,
            from: list.resourceVersion)
        hasSynced = true
        return .synced(list.items)
    }

    private func rest(_ error: KubernetesError) async throws(KubernetesError) {
        failures += 1
        if case .expired = error, failures == 1 { return }
        client.logger.warn("following a kind was interrupted", ["kind": resource.name, "error": error.description])
        var generator = SystemRandomNumberGenerator()
        let pause = client.retries.pause(afterAttempts: failures, using: &generator)
        do { try await client.sleep(pause) } catch { throw .cancelled }
    }
}

extension KubernetesError {
    /// Whether waiting may help.
    var passes: Bool {
        switch self {
        case .unreachable, .busy, .refused, .interrupted, .expired: true
        default: false
        }
    }
}
