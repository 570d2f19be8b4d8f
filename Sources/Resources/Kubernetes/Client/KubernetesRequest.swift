import Transport

/// One call of the API, before it has credentials.
struct KubernetesRequest: Sendable {
    var method = "GET"
    /// Path and query below the server's own.
    var target: String
    var contentType = "application/json"
    var body: [UInt8] = []
    /// What the server is asked to do, for messages.
    let action: String
    /// Whether it may be sent again when nobody knows if it was carried out.
    let isRepeatable: Bool

    /// - Parameter query: names and values as they are; escaped here.
    init(
        _ method: String, _ path: String, query: [(String, String)] = [], contentType: String = "application/json",
        body: [UInt8] = [], action: String, isRepeatable: Bool = true
    ) {
        self.method = method
        let text = query.map { "\($0)=\(KubernetesPath.escaped($1))" }.joined(separator: "&")
        target = text.isEmpty ? path : "\(path)?\(text)"
        self.contentType = contentType
        self.body = body
        self.action = action
        self.isRepeatable = isRepeatable
    }
}
