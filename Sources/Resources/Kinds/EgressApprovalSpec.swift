/// Hosts a sandbox may reach for a while (resources §12).
public struct EgressApprovalSpec: CustomResourceSpec {
    public static let resource = KubernetesResource.egressApprovals

    public struct Host: Codable, Sendable, Equatable {
        public var host: String
        public var port: Int64?
    }

    public var sandbox: String
    public var hosts: [Host]
    public var reason: String
    public var ticket: String?
    /// ISO 8601.
    public var ttl: String

    public func check(_ found: inout SpecProblems) {
        found.text(sandbox, "spec.sandbox", .length(1...253))
        found.expect((1...16).contains(hosts.count), "spec.hosts", "must name 1 to 16 hosts, not \(hosts.count)")
        for (index, host) in hosts.enumerated() {
            found.text(host.host, "spec.hosts[\(index)].host", .length(1...253))
            found.number(host.port, "spec.hosts[\(index)].port", 1...65535)
        }
        found.text(reason, "spec.reason", .plain(1...512))
        found.text(ticket, "spec.ticket", .length(1...128))
        found.text(ttl, "spec.ttl", .duration)
    }
}
