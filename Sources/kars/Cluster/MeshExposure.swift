import FoundationEssentials
import Glibc
import MeshIdentity
import MeshNode
import Resources
import Storage
import Transport

/// A cluster's registry and relay at addresses of their own, for peers elsewhere, by TLS alone.
///
/// The Services that the cluster itself uses stay as they are: they speak plain text inside of it. Beside them come two of
/// type LoadBalancer, which lead to a second listener of the same pods, with a certificate for their addresses.
struct MeshExposure {
    /// What it is called in the cluster; also who owns the fields it adds.
    private static let manager = "kars-mesh-promote"
    private static let secret = "agentmesh-public-tls"
    private static let policy = "public"
    private static let folder = "/run/kars-tls"
    private static let port: Int64 = 8443
    private static let patience = Duration.seconds(150)
    private static let days = 397
    /// A certificate with less time left is replaced.
    private static let shortestRest = 30.0 * 86_400
    private static let namesAnnotation = "kars.azure.com/certificate-names"
    private static let endAnnotation = "kars.azure.com/certificate-end"

    /// What peers need to know.
    struct Place {
        let registry: String
        let relay: String
        /// PEM of the certificate to trust.
        let authorities: [UInt8]
        let certificateEnd: Date
    }

    let client: KubernetesClient
    let namespace: String

    private func service(_ part: MeshTunnels.Part) -> String { part.service + "-public" }
    private func deployment(_ part: MeshTunnels.Part) -> ClusterDeployment {
        ClusterDeployment(client: client, namespace: namespace, name: part.rawValue, container: part.rawValue)
    }

    // MARK: There

    /// - Parameter progress: is told what is being waited for.
    /// - Throws: what could not be had; a first exposure is taken back then.
    func open(_ ranges: [AddressRange], progress: (String) -> Void) async throws -> Place {
        for part in MeshTunnels.Part.allCases { _ = try await deployment(part).read() }
        let isNew = try await client.get(.services, service(.registry), namespace: namespace) == nil
        do { return try await make(ranges, progress) } catch {
            if isNew {
                progress("taking it back")
                _ = try? await close()
            }
            throw error
        }
    }

    private func make(_ ranges: [AddressRange], _ progress: (String) -> Void) async throws -> Place {
        // Without a port in the pods yet they lead nowhere.
        for part in MeshTunnels.Part.allCases {
            try await client.apply(.services, Self.balancer(part, service(part), namespace, ranges), fieldManager: Self.manager)
        }
        var hosts: [MeshTunnels.Part: String] = [:]
        for part in MeshTunnels.Part.allCases {
            progress("waiting for an address of the \(part.rawValue)")
            hosts[part] = try await address(of: service(part))
        }
        let (certificate, end) = try await certificate(for: MeshTunnels.Part.allCases.compactMap { hosts[$0] })
        try await client.apply(.networkPolicies, Self.networkPolicy(namespace, ranges), fieldManager: Self.manager)
        for part in MeshTunnels.Part.allCases {
            progress("having the \(part.rawValue) listen for TLS")
            try await deployment(part).change(
                Self.listener(part),
                volumes: [["name": "public-tls", "secret": ["secretName": .string(Self.secret), "defaultMode": 0o440]]],
                as: Self.manager)
        }
        let bracketed = hosts.mapValues { $0.contains(":") ? "[\($0)]" : $0 }
        return Place(
            registry: "https://\(bracketed[.registry] ?? "")", relay: "wss://\(bracketed[.relay] ?? "")",
            authorities: certificate, certificateEnd: end)
    }

    private func address(of service: String) async throws -> String {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            let found = try await client.get(.services, service, namespace: namespace)?
                .status?[path: ["loadBalancer", "ingress"]]?.arrayValue?.first
            if let address = found?["ip"]?.stringValue ?? found?["hostname"]?.stringValue, !address.isEmpty { return address }
            guard ContinuousClock.now < deadline else {
                throw OperationFailure(
                    .timedOut, "this cluster gave the service \(service) no address within \(Self.patience.components.seconds) s",
                    hint: "where no load balancer can be had, use --port-forward")
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// The certificate that is there, or a new one when that one does not fit or ends soon. Pods take up a new one
    /// without being started anew.
    private func certificate(for hosts: [String]) async throws -> (pem: [UInt8], end: Date) {
        let names = Self.names(of: hosts)
        let known = try await client.get(.secrets, Self.secret, namespace: namespace)
        if let known, known.annotations[Self.namesAnnotation] == names.joined(separator: ","),
            let end = known.annotations[Self.endAnnotation].flatMap(MeshTimestamp.parse),
            end.timeIntervalSinceNow > Self.shortestRest,
            let pem = known[path: ["data", "tls.crt"]]?.stringValue.flatMap(Base64.decode)
        {
            return (pem, end)
        }
        let made = try SelfSignedCertificate.make(names: names, commonName: "kars AgentMesh", days: Self.days)
        let end = Date(timeIntervalSinceNow: Double(Self.days) * 86_400)
        var secret = KubernetesObject(
            .secrets, name: Self.secret, namespace: namespace,
            annotations: [Self.namesAnnotation: names.joined(separator: ","), Self.endAnnotation: MeshTimestamp.format(end)])
        secret["type"] = "kubernetes.io/tls"
        secret["data"] = [
            "tls.crt": .string(Base64.encode(made.certificate)), "tls.key": .string(Base64.encode(made.privateKey)),
        ]
        try await client.apply(.secrets, secret, fieldManager: Self.manager)
        return (made.certificate, end)
    }

    /// Addresses are also to be called by the names that sslip.io has for them (behaviours §7).
    static func names(of hosts: [String]) -> [String] {
        var names: [String] = []
        for host in hosts {
            var bytes = in6_addr()
            if inet_pton(AF_INET, host, &bytes) == 1 {
                names += ["IP:\(host)", "DNS:\(host.replacing(".", with: "-")).sslip.io"]
            } else if inet_pton(AF_INET6, host, &bytes) == 1 {
                names.append("IP:\(host)")
            } else {
                names.append("DNS:\(host)")
            }
        }
        return Array(Set(names)).sorted()
    }

    // MARK: Objects

    static func balancer(
        _ part: MeshTunnels.Part, _ name: String, _ namespace: String, _ ranges: [AddressRange]
    ) -> KubernetesObject {
        var service = KubernetesObject(
            .services, name: name, namespace: namespace, labels: ["app.kubernetes.io/name": "kars", "app": part.service])
        service["spec"] = [
            "type": "LoadBalancer", "selector": ["app": .string(part.service)],
            // The address of who comes is kept, so that policies and bounds by address mean something.
            "externalTrafficPolicy": "Local",
            "loadBalancerSourceRanges": .array(ranges.map { .string($0.description) }),
            "ports": [["name": "https", "protocol": "TCP", "port": 443, "targetPort": "https"]],
        ]
        return service
    }

    static func networkPolicy(_ namespace: String, _ ranges: [AddressRange]) -> KubernetesObject {
        var object = KubernetesObject(.networkPolicies, name: policy, namespace: namespace)
        object["spec"] = [
            "podSelector": [
                "matchExpressions": [
                    [
                        "key": "app", "operator": "In",
                        "values": .array(MeshTunnels.Part.allCases.map { .string($0.service) }),
                    ]
                ]
            ],
            "policyTypes": ["Ingress"],
            "ingress": [
                [
                    "from": .array(ranges.map { ["ipBlock": ["cidr": .string($0.description)]] }),
                    "ports": [["protocol": "TCP", "port": .int(port)]],
                ]
            ],
        ]
        return object
    }

    /// What the container of a part gets besides what it has.
    static func listener(_ part: MeshTunnels.Part) -> JSONValue {
        let prefix = "KARS_\(part.rawValue.uppercased())_TLS"
        return [
            "env": [
                ["name": .string(prefix + "_LISTEN"), "value": .string("0.0.0.0:\(port)")],
                ["name": .string(prefix + "_CERT"), "value": .string(folder + "/tls.crt")],
                ["name": .string(prefix + "_KEY"), "value": .string(folder + "/tls.key")],
            ],
            "ports": [["name": "https", "containerPort": .int(port), "protocol": "TCP"]],
            "volumeMounts": [["name": "public-tls", "mountPath": .string(folder), "readOnly": true]],
        ]
    }

    // MARK: And back

    /// Takes away what ``open(_:progress:)`` made, and what the public kars makes for the same end.
    ///
    /// - Returns: what was there, in words.
    @discardableResult
    func close() async throws -> [String] {
        var gone: [String] = []
        for part in MeshTunnels.Part.allCases {
            if try await client.delete(.services, service(part), namespace: namespace) { gone.append("service \(service(part))") }
            if let plain = try await client.get(.services, part.service, namespace: namespace),
                plain[path: ["spec", "type"]]?.stringValue == "LoadBalancer"
            {
                try await client.patch(
                    .services, part.service, namespace: namespace,
                    ["spec": ["type": "ClusterIP", "loadBalancerSourceRanges": nil, "externalTrafficPolicy": nil]],
                    fieldManager: Self.manager)
                gone.append("the address of service \(part.service)")
            }
            let ingress = part.service + "-ingress"
            if try await client.delete(.ingresses, ingress, namespace: namespace) { gone.append("ingress \(ingress)") }
        }
        if try await client.delete(.networkPolicies, Self.policy, namespace: namespace) {
            gone.append("network policy \(Self.policy)")
        }
        for part in MeshTunnels.Part.allCases {
            guard let found = try await client.get(.deployments, part.rawValue, namespace: namespace),
                (found[path: ["metadata", "managedFields"]]?.arrayValue ?? []).contains(where: {
                    $0["manager"]?.stringValue == Self.manager
                })
            else { continue }
            try await deployment(part).change(nil, as: Self.manager)
            gone.append("the listener of the \(part.rawValue)")
        }
        if try await client.delete(.secrets, Self.secret, namespace: namespace) { gone.append("secret \(Self.secret)") }
        return gone
    }
}
