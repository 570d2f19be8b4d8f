import CommandTree
import Observability
import Transport

/// What every service can be told, each also as `KARS_<ROLE>_<FLAG>`.
enum ServiceOptions {
    /// The variable that stands in for an option of a role.
    static func variable(_ role: String, _ flag: String) -> String {
        "KARS_\(role)_\(flag)".uppercased().replacing("-", with: "_")
    }

    static func listen(_ role: String, _ address: String) -> Option {
        .value(
            "listen", "HOST:PORT", kind: .endpoint, help: "Where to listen; port 0 lets the kernel pick",
            defaultValue: address, environment: variable(role, "listen"))
    }

    static func data(_ role: String) -> Option {
        .value(
            "data", "dir", kind: .directory, help: "Folder of the \(role)'s state",
            defaultNote: "$KARS_HOME/\(role)", environment: variable(role, "data"))
    }

    static func secureListen(_ role: String) -> Option {
        .value(
            "tls-listen", "HOST:PORT", kind: .endpoint,
            help: "Listen here too, with TLS; the certificate then is for this place alone",
            environment: variable(role, "tls-listen"))
    }

    /// The options of a listener that strangers reach.
    static func transport(_ role: String) -> [Option] {
        [
            .value(
                "tls-cert", "file", kind: .file, help: "PEM file with the certificate chain",
                environment: variable(role, "tls-cert")),
            .value(
                "tls-key", "file", kind: .file, help: "PEM file with the private key",
                environment: variable(role, "tls-key")),
            .value(
                "tls-ca", "file", kind: .file,
                help: "PEM file of the authorities that client certificates must come from",
                environment: variable(role, "tls-ca")),
            .flag(
                "allow-plaintext", help: "Listen beyond loopback without TLS, behind a proxy that speaks it",
                environment: variable(role, "allow-plaintext")),
        ]
    }

    static func log(_ role: String) -> [Option] {
        [
            .value(
                "log-format", "format", help: "How log lines on standard error look",
                defaultNote: "text on a terminal, else json", environment: variable(role, "log-format"),
                allowed: LogFormat.allCases.map(\.rawValue)),
            .value(
                "log-level", "level", help: "The least important lines to log", defaultValue: "info",
                environment: variable(role, "log-level"), allowed: LogLevel.allCases.map(\.rawValue)),
        ]
    }

    static func threads(_ role: String, _ count: Int) -> Option {
        .value(
            "threads", "n", kind: .integer(1...256), help: "Threads that serve connections",
            defaultValue: String(count), environment: variable(role, "threads"))
    }

    static func logger(_ role: String, _ invocation: Invocation) -> Logger {
        Logger(
            service: role, format: invocation.value("log-format").flatMap(LogFormat.init),
            level: invocation.value("log-level").flatMap(LogLevel.init) ?? .info)
    }

    static func dataFolder(_ role: String, _ invocation: Invocation) throws(UsageError) -> String {
        if let folder = invocation.value("data") { return absolutePath(folder) }
        return try KarsHome(invocation.environment).folder(of: role)
    }

    /// Where to listen, from the option of this name.
    static func endpoint(_ name: String, _ invocation: Invocation) throws(UsageError) -> Endpoint {
        let text = invocation.value(name) ?? ""
        do throws(TransportError) {
            return try Endpoint(parsing: text)
        } catch {
            throw .refused("--\(name): \(error)")
        }
    }

    static func url(_ name: String, _ invocation: Invocation) throws(UsageError) -> ServiceURL? {
        guard let text = invocation.value(name) else { return nil }
        do throws(TransportError) {
            return try ServiceURL(parsing: text)
        } catch {
            throw .refused("--\(name): \(error)")
        }
    }

    /// The certificate to show at an endpoint; nil for plain text.
    ///
    /// - Throws: a usage error for half a pair, and for an open listener without TLS (design decision 10).
    static func tls(for endpoint: Endpoint, _ invocation: Invocation) throws(UsageError) -> ServerTLS? {
        let hasOtherPlace = invocation.hasOption("tls-listen") && invocation.value("tls-listen") != nil
        if !hasOtherPlace, let certificate = try certificate(invocation) { return certificate }
        guard endpoint.isLoopback || invocation.flag("allow-plaintext") else {
            throw .refused(
                "\(endpoint) can be reached from other machines, so it needs --tls-cert and --tls-key, "
                    + "or --allow-plaintext behind a proxy that speaks TLS")
        }
        return nil
    }

    /// The place of `--tls-listen`; nil when it is not given.
    static func secureListener(_ invocation: Invocation) throws(UsageError) -> SecureListener? {
        guard invocation.value("tls-listen") != nil else { return nil }
        guard let tls = try certificate(invocation) else {
            throw .refused("--tls-listen needs --tls-cert and --tls-key")
        }
        return SecureListener(endpoint: try endpoint("tls-listen", invocation), tls: tls)
    }

    private static func certificate(_ invocation: Invocation) throws(UsageError) -> ServerTLS? {
        switch (invocation.value("tls-cert"), invocation.value("tls-key")) {
        case (let certificate?, let key?):
            return ServerTLS(
                certificateFile: certificate, keyFile: key, clientCAFile: invocation.value("tls-ca"))
        case (nil, nil) where invocation.value("tls-ca") != nil:
            throw .refused("--tls-ca needs --tls-cert and --tls-key")
        case (nil, nil): return nil
        case (_?, nil): throw .refused("--tls-cert needs --tls-key")
        case (nil, _?): throw .refused("--tls-key needs --tls-cert")
        }
    }
}
