import CWebSockets
import Glibc

/// The virtual hosts of one context: one per TLS setting, kept until the context ends.
///
/// They never go earlier because libwebsockets 4.1 may move a connection to another host of the same
/// context by its `Host` header; nothing of ours depends on which one a connection is on.
struct VirtualHosts {
    /// What tells hosts apart; a server's files count with their time of change, so that renewed ones load.
    private enum Key: Hashable {
        case server(ServerTLS?, changed: [Int])
        case client(ClientTLS?)
    }

    private static let day: Int32 = 86_400
    /// `SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1`, function-like macros of OpenSSL 3.
    private static let onlyModernTLS = 1 << 26 | 1 << 28

    /// `LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT`, a computed macro.
    private static let requireClientCertificate: UInt64 = 1 << 1 | 1 << 12

    private var hosts: [Key: OpaquePointer] = [:]
    /// What hosts of clients use without owning it.
    private var clientContexts: [ClientTLSContext] = []
    /// The last host that could be made for a server's setting.
    private var newest: [ServerTLS?: OpaquePointer] = [:]
    /// Files that could not be used, as they were: newcomers do not have them read again and again.
    private var unusable: Set<Key> = []

    /// For accepted connections: renewed files count from now on. A server whose renewed files cannot be used, as while
    /// only one of two is written, goes on with those it has.
    mutating func server(
        _ tls: ServerTLS?, in context: OpaquePointer
    ) throws(TransportError) -> OpaquePointer {
        if let host = newest[tls], let key = try? Self.key(of: tls), unusable.contains(key) { return host }
        do {
            let host = try checkedServer(tls, in: context)
            newest[tls] = host
            return host
        } catch {
            if let host = newest[tls] { return host }
            throw error
        }
    }

    /// As ``server(_:in:)``, and throws for files that cannot be used now.
    mutating func checkedServer(
        _ tls: ServerTLS?, in context: OpaquePointer
    ) throws(TransportError) -> OpaquePointer {
        // By the name a TLS client asks for, the library switches to the certificate of the first host of
        // the context. That must be the plain one: having none, it leaves the right one in place.
        if tls != nil { _ = try server(nil, in: context) }
        let key = try Self.key(of: tls)
        if let host = hosts[key] { return host }
        var options = Self.options(port: CONTEXT_PORT_NO_LISTEN_SERVER)
        if let tls {
            options.ssl_cert_filepath = UnsafePointer(strdup(tls.certificateFile))
            options.ssl_private_key_filepath = UnsafePointer(strdup(tls.keyFile))
            options.options |= UInt64(LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT)
            // The library prepares every host for clients too; this one needs no authorities for them.
            options.options |= UInt64(LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS)
            options.ssl_options_set = Self.onlyModernTLS
            if let authority = tls.clientCAFile {
                options.ssl_ca_filepath = UnsafePointer(strdup(authority))
                options.options |= Self.requireClientCertificate
            }
        }
        // The library has copied or read all it needs when it returns.
        defer {
            free(UnsafeMutablePointer(mutating: options.ssl_cert_filepath))
            free(UnsafeMutablePointer(mutating: options.ssl_private_key_filepath))
            free(UnsafeMutablePointer(mutating: options.ssl_ca_filepath))
        }
        guard let host = lws_create_vhost(context, &options) else {
            // Each renewal is another key; few are kept.
            if unusable.count >= 16 { unusable = [] }
            unusable.insert(key)
            throw .tls("the certificate or key in \(Self.files(of: tls).joined(separator: ", ")) cannot be used")
        }
        hosts[key] = host
        return host
    }

    /// For connections we open; nil for plain ones.
    mutating func client(
        _ tls: ClientTLS?, in context: OpaquePointer
    ) throws(TransportError) -> OpaquePointer {
        // The library shares what it read of an authority's file within a context: a change has no effect.
        var shared = tls
        // Told for each connection.
        shared?.serverName = nil
        let key = Key.client(shared)
        if let host = hosts[key] { return host }
        var options = Self.options(port: CONTEXT_PORT_NO_LISTEN)
        var own: ClientTLSContext?
        if let tls {
            options.options |= UInt64(LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT)
            options.ssl_client_options_set = Self.onlyModernTLS
            if tls.identity != nil || tls.authorities != nil {
                let prepared = try ClientTLSContext(tls)
                options.provided_client_ssl_ctx = prepared.pointer
                own = prepared
            } else if let authority = tls.caFile {
                _ = try Self.changeTime(authority)
                options.client_ssl_ca_filepath = UnsafePointer(strdup(authority))
                options.options |= UInt64(LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS)
            }
        }
        defer { free(UnsafeMutablePointer(mutating: options.client_ssl_ca_filepath)) }
        guard let host = lws_create_vhost(context, &options) else {
            throw .tls("the trusted authorities cannot be loaded")
        }
        hosts[key] = host
        if let own { clientContexts.append(own) }
        return host
    }

    private static func options(port: Int32) -> lws_context_creation_info {
        var options = lws_context_creation_info()
        options.port = port
        options.protocols = TransportProtocol.table
        options.vhost_name = UnsafePointer(TransportProtocol.name)
        options.alpn = UnsafePointer(http1)
        // Our own deadlines are shorter than these.
        options.keepalive_timeout = day
        options.timeout_secs_ah_idle = LoopContext.silenceTimeout
        // An empty address keeps the library from taking $http_proxy for every connection.
        options.http_proxy_address = UnsafePointer(noProxy)
        return options
    }

    private static func files(of tls: ServerTLS?) -> [String] {
        [tls?.certificateFile, tls?.keyFile, tls?.clientCAFile].compactMap(\.self)
    }

    private static func key(of tls: ServerTLS?) throws(TransportError) -> Key {
        var times: [Int] = []
        for file in files(of: tls) { times.append(try changeTime(file)) }
        return .server(tls, changed: times)
    }

    private static func changeTime(_ path: String) throws(TransportError) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .tls("\(path) cannot be read") }
        return status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec
    }
}

// nonisolated(unsafe): constant C strings.
nonisolated(unsafe) private let http1 = TransportProtocol.cString("http/1.1")
nonisolated(unsafe) private let noProxy = TransportProtocol.cString("")
