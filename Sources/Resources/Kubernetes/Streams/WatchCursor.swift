import Transport

/// Where one watch stands, over all its connections.
actor WatchCursor {
    /// Longest event in bytes: an object of the API has at most some 3 MiB.
    private static let maximumEventBytes = 16 << 20
    /// Seconds after which the server ends a connection, so that a dead one does not stay unnoticed for long.
    private static let connectionSeconds = 300

    private let client: KubernetesClient
    private let path: String
    private let selection: [(String, String)]
    private let resource: KubernetesResource
    private let action: String
    private var version: String
    private var lines: LineReader?
    private var failures = 0
    /// Whether the connection brought anything.
    private var hasHeard = false

    init(
        _ client: KubernetesClient, _ resource: KubernetesResource, path: String, selection: [(String, String)],
        action: String, version: String
    ) {
        self.client = client
        self.resource = resource
        self.path = path
        self.selection = selection
        self.action = action
        self.version = version
    }

    /// The next event, over as many connections as it takes.
    ///
    /// - Throws: ``KubernetesError/expired(_:)`` when the server does not know the resource version any more.
    func next() async throws(KubernetesError) -> WatchEvent {
        while true {
            if lines == nil { try await connect() }
            do {
                guard let line = try await nextLine() else {
                    try await connectionDidEnd()
                    continue
                }
                if line.isEmpty { continue }
                hasHeard = true
                failures = 0
                if let event = try read(line) { return event }
            } catch let error as KubernetesError {
                lines = nil
                throw error
            } catch {
                lines = nil
                if Task.isCancelled { throw .cancelled }
                if case TransportError.tooLarge(let limit) = error { throw .tooLarge(what: "an event of a watch", limit: limit) }
                try await connectionDidEnd()
            }
        }
    }

    private func connect() async throws(KubernetesError) {
        let query = selection + [
            ("watch", "1"), ("allowWatchBookmarks", "true"), ("resourceVersion", version),
            ("timeoutSeconds", String(Self.connectionSeconds)),
        ]
        let body = try await client.stream(
            KubernetesRequest("GET", path, query: query, action: action),
            silence: .seconds(Self.connectionSeconds + 30))
        lines = LineReader(body, maximumLineBytes: Self.maximumEventBytes)
        hasHeard = false
    }

    /// Taken out while it waits, so that two calls do not change it at once.
    private func nextLine() async throws(TransportError) -> [UInt8]? {
        guard var reader = lines.take() else { return nil }
        let line = try await reader.next()
        lines = line == nil ? nil : reader
        return line
    }

    /// A server that hangs up at once again and again is not asked in a busy loop.
    private func connectionDidEnd() async throws(KubernetesError) {
        lines = nil
        if Task.isCancelled { throw .cancelled }
        if hasHeard { return }
        failures += 1
        var generator = SystemRandomNumberGenerator()
        let pause = client.retries.pause(afterAttempts: failures, using: &generator)
        do { try await client.sleep(pause) } catch { throw .cancelled }
    }

    private func read(_ line: [UInt8]) throws(KubernetesError) -> WatchEvent? {
        guard let event = try? JSONValue(decoding: line), let type = event["type"]?.stringValue,
            let json = event["object"]
        else { throw .unusableAnswer(server: client.server, what: action) }
        if type == "ERROR" {
            let code = json["code"]?.intValue.flatMap { Int(exactly: $0) } ?? 500
            let refusal = KubernetesRefusal(server: client.server, action: action, code: code, status: json)
            // A server whose cache is behind says so with 504 or 500 and recovers.
            if code >= 500 {
                lines = nil
                hasHeard = false
                return nil
            }
            throw refusal.error
        }
        let object = KubernetesClient.named(json, resource)
        if let new = object.resourceVersion, !new.isEmpty { version = new }
        switch type {
        case "ADDED": return .added(object)
        case "MODIFIED": return .modified(object)
        case "DELETED": return .deleted(object)
        case "BOOKMARK": return .bookmark(resourceVersion: version)
        // A newer server may tell more.
        default: return nil
        }
    }
}
