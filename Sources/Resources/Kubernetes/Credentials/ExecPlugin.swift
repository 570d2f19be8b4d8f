import FoundationEssentials
import Glibc
import Transport

/// A program that hands out credentials (Kubernetes "client-go credential plugins", `client.authentication.k8s.io`).
struct ExecPlugin: Sendable {
    /// The versions spoken.
    static let versions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"]
    /// A person may have to sign in meanwhile.
    static let patience = Duration.seconds(300)

    let apiVersion: String
    /// A path, or a name looked for in `PATH`.
    let command: String
    let arguments: [String]
    /// The whole environment it gets, besides `KUBERNETES_EXEC_INFO`.
    let environment: [String: String]
    /// Said when the program is missing.
    let installHint: String?
    /// Whether it may use the terminal: `Never`, `IfAvailable` or `Always`.
    let interactiveMode: String
    /// `spec.cluster` of what it is told; nil unless it wants to know.
    let cluster: JSONValue?

    struct Answer: Sendable {
        let token: Secret?
        let identity: ClientIdentity?
        let expires: Date?
    }

    /// Runs it and reads what it prints.
    func run() async -> Result<Answer, KubernetesError> {
        await withCheckedContinuation { continuation in
            PluginProcess.queue.async {
                let result: Result<Answer, KubernetesError>
                do throws(KubernetesError) { result = .success(try runBlocking()) } catch { result = .failure(error) }
                continuation.resume(returning: result)
            }
        }
    }

    private func runBlocking() throws(KubernetesError) -> Answer {
        let isTerminal = interactiveMode != "Never" && isatty(STDIN_FILENO) == 1
        guard isTerminal || interactiveMode != "Always" else {
            throw .credentials("\(command) needs a terminal to sign in; run the command in one, or sign in beforehand")
        }
        guard let path = path else {
            let hint = installHint.map { ": \(Self.line($0))" } ?? "; install it or correct exec.command of the context's user"
            throw .credentials("the credential plug-in \(command) is not installed\(hint)")
        }
        var environment = environment
        environment["KUBERNETES_EXEC_INFO"] = String(decoding: told(isTerminal).encode(), as: UTF8.self)
        let (status, output) = try PluginProcess.run(
            path, arguments, environment: environment, usesTerminal: isTerminal, patience: Self.patience)
        guard status == 0 else {
            throw .credentials(
                "the credential plug-in \(command) ended with status \(status); run it by hand to see why, or sign in again")
        }
        return try read(output)
    }

    /// What it is told in `KUBERNETES_EXEC_INFO`.
    func told(_ isInteractive: Bool) -> JSONValue {
        var spec: JSONValue = ["interactive": .bool(isInteractive)]
        spec["cluster"] = cluster
        return ["apiVersion": .string(apiVersion), "kind": "ExecCredential", "spec": spec]
    }

    /// Reads an `ExecCredential`; no part of it ever gets into an error.
    func read(_ output: [UInt8]) throws(KubernetesError) -> Answer {
        guard let json = try? JSONValue(decoding: output), json["kind"] == "ExecCredential" else {
            throw .credentials("the credential plug-in \(command) printed no ExecCredential; check its arguments")
        }
        guard json["apiVersion"]?.stringValue == apiVersion else {
            throw .credentials(
                "the credential plug-in \(command) does not speak \(apiVersion); set exec.apiVersion of the context's user to "
                    + "what it speaks")
        }
        let status = json["status"]
        let token = status?["token"]?.stringValue.flatMap { $0.isEmpty ? nil : Secret($0) }
        let chain = status?["clientCertificateData"]?.stringValue ?? ""
        let key = status?["clientKeyData"]?.stringValue ?? ""
        guard chain.isEmpty == key.isEmpty, token != nil || !chain.isEmpty else {
            throw .credentials("the credential plug-in \(command) gave neither a token nor a certificate with its key")
        }
        var expires: Date?
        if let text = status?["expirationTimestamp"]?.stringValue {
            guard let date = Self.date(text) else {
                throw .credentials("the credential plug-in \(command) gave an expirationTimestamp that is no time")
            }
            expires = date
        }
        let identity = chain.isEmpty
            ? nil : ClientIdentity(certificateChain: Array(chain.utf8), privateKey: Array(key.utf8))
        return Answer(token: token, identity: identity, expires: expires)
    }

    /// RFC 3339, with or without fractions of a second.
    static func date(_ text: String) -> Date? {
        if let date = try? Date(text, strategy: .iso8601) { return date }
        return try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// The program's file; nil when there is none.
    private var path: String? {
        if command.contains("/") { return access(command, X_OK) == 0 ? command : nil }
        let folders = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":")
        return folders.map { "\($0)/\(command)" }.first { access($0, X_OK) == 0 }
    }

    private static func line(_ text: String) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}
