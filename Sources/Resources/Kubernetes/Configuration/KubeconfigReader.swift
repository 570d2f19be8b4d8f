import FoundationEssentials
import Storage
import Transport

/// Makes a configuration of one context of a kubeconfig.
struct KubeconfigReader {
    private let kubeconfig: Kubeconfig
    private let environment: [String: String]

    init(_ kubeconfig: Kubeconfig, environment: [String: String]) {
        self.kubeconfig = kubeconfig
        self.environment = environment
    }

    /// - Parameter name: nil for the current context.
    func configuration(context name: String?) throws(KubernetesError) -> KubernetesConfiguration {
        let context = try self.context(name)
        guard let clusterName = context.text("cluster"), let cluster = kubeconfig.clusters[clusterName] else {
            throw wrong(context, "names no cluster of the kubeconfig; add one with kubectl config set-cluster")
        }
        var user = Kubeconfig.Entry(name: "", content: [:], file: context.file)
        if let userName = context.text("user") {
            guard let known = kubeconfig.users[userName] else {
                throw wrong(context, "names a user that is not in the kubeconfig; add one with kubectl config set-credentials")
            }
            user = known
        }
        let server = try self.server(cluster)
        var tls = ClientTLS(serverName: cluster.text("tls-server-name"))
        tls.authorities = try material(cluster, "certificate-authority")
        tls.identity = try identity(user)
        let source = try self.source(user, cluster, authorities: tls.authorities)
        if !server.isSecure && !server.isLoopback, source.isSecret || tls.identity != nil {
            throw wrong(cluster, "is called without TLS, which would show the credentials to everybody; use an https server")
        }
        return KubernetesConfiguration(
            server: server, namespace: context.text("namespace") ?? "default", context: context.name, tls: tls,
            headers: try impersonation(user), source: source)
    }

    private func context(_ name: String?) throws(KubernetesError) -> Kubeconfig.Entry {
        let known = kubeconfig.contexts.keys.sorted().prefix(10).joined(separator: ", ")
        let choice = known.isEmpty ? "the kubeconfig has no context" : "choose one with --context: \(known)"
        guard let name = name ?? kubeconfig.currentContext else {
            throw .configuration("\(kubeconfig.files.joined(separator: ", ")) has no current-context; \(choice)")
        }
        guard let context = kubeconfig.contexts[name] else {
            throw .configuration("there is no context \(name) in \(kubeconfig.files.joined(separator: ", ")); \(choice)")
        }
        return context
    }

    private func server(_ cluster: Kubeconfig.Entry) throws(KubernetesError) -> ServiceURL {
        guard let text = cluster.text("server") else { throw wrong(cluster, "has no server") }
        guard let server = try? ServiceURL(parsing: text), server.scheme == .https || server.scheme == .http,
            !server.target.contains("?")
        else { throw wrong(cluster, "has a server that is no https address") }
        if cluster.content["insecure-skip-tls-verify"] == true {
            throw wrong(
                cluster, "skips the check of certificates, which kars never does; give certificate-authority-data instead")
        }
        if cluster.text("proxy-url") != nil {
            throw wrong(cluster, "is reached through a proxy-url, which is not supported; reach it directly or by a tunnel")
        }
        return server
    }

    // MARK: Certificates

    private func identity(_ user: Kubeconfig.Entry) throws(KubernetesError) -> ClientIdentity? {
        switch (try material(user, "client-certificate"), try material(user, "client-key")) {
        case (nil, nil): return nil
        case (let chain?, let key?): return ClientIdentity(certificateChain: chain, privateKey: key)
        default: throw wrong(user, "has only one of client-certificate and client-key")
        }
    }

    /// PEM that stands in the kubeconfig (`…-data`, which wins) or in a file it names.
    private func material(_ entry: Kubeconfig.Entry, _ key: String) throws(KubernetesError) -> [UInt8]? {
        if let text = entry.text(key + "-data") {
            guard let data = Data(base64Encoded: text, options: .ignoreUnknownCharacters), !data.isEmpty else {
                throw wrong(entry, "has a \(key)-data that is not base64")
            }
            return Array(data)
        }
        guard let path = entry.path(key) else { return nil }
        let bytes: [UInt8]?
        do { bytes = try AtomicFile.read(path) } catch { throw wrong(entry, "has a \(key) that cannot be read: \(error)") }
        guard let bytes else { throw wrong(entry, "names a \(key) that is not there: \(path)") }
        return bytes
    }

    // MARK: Credentials

    private func source(
        _ user: Kubeconfig.Entry, _ cluster: Kubeconfig.Entry, authorities: [UInt8]?
    ) throws(KubernetesError) -> CredentialSource {
        if let plugin = user.content["exec"], plugin.objectValue != nil {
            return .plugin(try self.plugin(plugin, user, cluster, authorities: authorities))
        }
        if user.content["auth-provider"]?.objectValue != nil {
            throw wrong(
                user, "uses an auth-provider, which Kubernetes gave up; convert it to a plug-in (kubelogin convert-kubeconfig)")
        }
        if let path = user.path("tokenFile") { return .tokenFile(path) }
        if let token = user.text("token") { return .token(token) }
        if let name = user.text("username") {
            return .password(user: name, Secret(user.text("password") ?? ""))
        }
        return .none
    }

    private func plugin(
        _ json: JSONValue, _ user: Kubeconfig.Entry, _ cluster: Kubeconfig.Entry, authorities: [UInt8]?
    ) throws(KubernetesError) -> ExecPlugin {
        guard let version = json["apiVersion"]?.stringValue, ExecPlugin.versions.contains(version) else {
            throw wrong(
                user, "has a plug-in of an apiVersion that is not supported; set it to \(ExecPlugin.versions[0])")
        }
        guard let command = json["command"]?.stringValue, !command.isEmpty else {
            throw wrong(user, "has a plug-in without command")
        }
        var environment = environment
        for variable in json["env"]?.arrayValue ?? [] {
            guard let name = variable["name"]?.stringValue, let value = variable["value"]?.stringValue else {
                throw wrong(user, "has a plug-in with a variable that lacks name or value")
            }
            environment[name] = value
        }
        return ExecPlugin(
            apiVersion: version,
            command: command.contains("/") ? Kubeconfig.absolute(command, besides: user.file) : command,
            arguments: (json["args"]?.arrayValue ?? []).compactMap(\.stringValue), environment: environment,
            installHint: json["installHint"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 },
            interactiveMode: json["interactiveMode"]?.stringValue ?? "IfAvailable",
            cluster: json["provideClusterInfo"] == true ? information(cluster, authorities) : nil)
    }

    /// What a plug-in is told about the cluster.
    private func information(_ cluster: Kubeconfig.Entry, _ authorities: [UInt8]?) -> JSONValue {
        var told: JSONValue = ["server": .string(cluster.text("server") ?? "")]
        told["tls-server-name"] = cluster.text("tls-server-name").map(JSONValue.string)
        told["certificate-authority-data"] = authorities.map { .string(Data($0).base64EncodedString()) }
        let extensions = cluster.content["extensions"]?.arrayValue ?? []
        told["config"] = extensions.first { $0["name"] == "client.authentication.k8s.io/exec" }?["extension"]
        return told
    }

    private func impersonation(_ user: Kubeconfig.Entry) throws(KubernetesError) -> HTTPHeaders {
        var headers = HTTPHeaders()
        guard user.content["as-user-extra"]?.objectValue?.isEmpty ?? true else {
            throw wrong(user, "impersonates with as-user-extra, which is not supported")
        }
        headers["impersonate-user"] = user.text("as")
        headers["impersonate-uid"] = user.text("as-uid")
        for group in (user.content["as-groups"]?.arrayValue ?? []).compactMap(\.stringValue) {
            headers.add("impersonate-group", group)
        }
        guard user.text("as") != nil || headers.isEmpty else {
            throw wrong(user, "has as-groups or as-uid without as")
        }
        return headers
    }

    private func wrong(_ entry: Kubeconfig.Entry, _ problem: String) -> KubernetesError {
        .configuration("\"\(entry.name)\" in the kubeconfig \(entry.file) \(problem)")
    }
}

extension CredentialSource {
    fileprivate var isSecret: Bool { if case .none = self { false } else { true } }
}
