import CommandTree
import MeshNode
import Storage

extension Command {
    /// `kars mesh tunnel`, which `kars mesh promote --port-forward` starts in the background.
    static let meshTunnel = Command(
        "tunnel", summary: "Keep a port of the loopback leading to a Service of a cluster",
        options: [
            .value("namespace", "ns", help: "Namespace of the Service", isRequired: true),
            .value("service", "name", help: "The Service", isRequired: true),
            .value("target", "port", kind: .integer(1...65_535), help: "Port of the Service", isRequired: true),
            .value("port", "port", kind: .integer(0...65_535), help: "Port of the loopback", isRequired: true),
            .value("record", "file", kind: .file, help: "Where to note the process of kubectl", isRequired: true),
            .value("context", "name", help: "Context of the kubeconfig"),
        ],
        environment: [ClusterDoor.kubeconfig], isHidden: true
    ) { invocation in
        let record = invocation.required("record")
        let tunnel = try ServiceTunnel(
            to: ServiceTunnel.Target(
                namespace: invocation.required("namespace"), service: invocation.required("service"),
                port: try invocation.integer("target") ?? 0, context: invocation.value("context")),
            port: try invocation.integer("port") ?? 0, environment: invocation.environment,
            onStart: { pid in
                guard let kubectl = ServiceRecord(role: "kubectl", pid: pid, address: "") else { return }
                do { try kubectl.write(to: record) } catch { Console.complain("\(error)") }
            })
        let signals = StopSignals(isStarting: false)
        do {
            let port = try await tunnel.open()
            try Console.line("listening http://127.0.0.1:\(port)")
        } catch {
            await tunnel.close()
            throw error
        }
        await signals.wait()
        await tunnel.close()
    }
}
