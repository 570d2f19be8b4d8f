import FoundationEssentials
import Storage
import Transport

extension KubernetesConfiguration {
    /// Where a pod finds its credentials.
    static let serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// Finds the cluster as kubectl does: `file` alone, or the files of `KUBECONFIG`, or `~/.kube/config`; where
    /// there is none and this is a pod, its service account.
    ///
    /// - Parameters:
    ///   - environment: variables of the process.
    ///   - context: nil for the current one.
    ///   - file: of `--kubeconfig`.
    /// - Throws: ``KubernetesError/configuration(_:)`` with the next step.
    public static func load(
        environment: [String: String] = ProcessInfo.processInfo.environment, context: String? = nil, file: String? = nil
    ) throws(KubernetesError) -> KubernetesConfiguration {
        try load(environment: environment, context: context, file: file, serviceAccount: serviceAccountFolder)
    }

    static func load(
        environment: [String: String], context: String?, file: String?, serviceAccount: String
    ) throws(KubernetesError) -> KubernetesConfiguration {
        let candidates = candidates(environment, file)
        let kubeconfig = try Kubeconfig(files: candidates)
        if !kubeconfig.files.isEmpty {
            return try KubeconfigReader(kubeconfig, environment: environment).configuration(context: context)
        }
        if file == nil, context == nil, let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty {
            return try inCluster(host, environment, folder: serviceAccount)
        }
        let places = candidates.isEmpty ? "~/.kube/config" : candidates.joined(separator: ", ")
        throw .configuration(
            "no kubeconfig at \(places); set KUBECONFIG, or fetch one (az aks get-credentials), or start a local cluster")
    }

    private static func candidates(_ environment: [String: String], _ file: String?) -> [String] {
        if let file { return [file] }
        if let list = environment["KUBECONFIG"], !list.isEmpty {
            return list.split(separator: ":").map(String.init)
        }
        guard let home = environment["HOME"], !home.isEmpty else { return [] }
        return [home + "/.kube/config"]
    }

    /// The service account of the pod this runs in (Kubernetes "Accessing the API from a Pod").
    private static func inCluster(
        _ host: String, _ environment: [String: String], folder: String
    ) throws(KubernetesError) -> KubernetesConfiguration {
        let port = environment["KUBERNETES_SERVICE_PORT"] ?? "443"
        let address = "https://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        guard let server = try? ServiceURL(parsing: address) else {
            throw .configuration("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not name a server")
        }
        func file(_ name: String) throws(KubernetesError) -> [UInt8]? {
            do { return try AtomicFile.read("\(folder)/\(name)") } catch {
                throw .configuration("the service account of this pod cannot be read: \(error)")
            }
        }
        guard let authorities = try file("ca.crt"), try file("token") != nil else {
            throw .configuration(
                "this pod has no service account in \(folder); set automountServiceAccountToken, or KUBECONFIG")
        }
        let namespace = String(decoding: try file("namespace") ?? [], as: UTF8.self).filter { !$0.isWhitespace }
        return KubernetesConfiguration(
            server: server, namespace: namespace.isEmpty ? "default" : namespace, context: "in-cluster",
            tls: ClientTLS(authorities: authorities), source: .tokenFile("\(folder)/token"))
    }
}
