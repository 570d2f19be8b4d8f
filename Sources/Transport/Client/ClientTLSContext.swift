import COpenSSL

/// An OpenSSL context for connections with a certificate or authorities that are in memory.
///
/// libwebsockets 4.1 reads one certificate and RSA keys alone from memory; a chain, several authorities and other
/// keys are read here.
// @unchecked Sendable: the pointer is written once and OpenSSL's contexts count their references atomically.
final class ClientTLSContext: @unchecked Sendable {
    let pointer: OpaquePointer

    /// - Throws: ``TransportError/tls(_:)`` for PEM that cannot be used, or a key that is not the certificate's.
    init(_ tls: ClientTLS) throws(TransportError) {
        guard let context = SSL_CTX_new(TLS_client_method()) else { throw .outOfResources("no memory for TLS") }
        pointer = context
        // As for every other connection; a macro over this call in the headers.
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
        // The library writes pieces, and the rest of one from another place in memory.
        SSL_CTX_ctrl(
            context, SSL_CTRL_MODE, Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER), nil)
        try trust(tls)
        if let identity = tls.identity { try use(identity) }
    }

    deinit { SSL_CTX_free(pointer) }

    private func trust(_ tls: ClientTLS) throws(TransportError) {
        if tls.caFile == nil, tls.authorities == nil {
            guard SSL_CTX_set_default_verify_paths(pointer) == 1 else {
                throw .tls("the trusted authorities of the system cannot be loaded")
            }
        }
        if let file = tls.caFile, SSL_CTX_load_verify_locations(pointer, file, nil) != 1 {
            throw .tls("the trusted authorities in \(file) cannot be loaded")
        }
        if let authorities = tls.authorities {
            let store = SSL_CTX_get_cert_store(pointer)
            let certificates = Self.certificates(authorities)
            defer { certificates.forEach(X509_free) }
            guard !certificates.isEmpty else { throw .tls("the trusted authorities hold no certificate in PEM") }
            // One that is there already is fine.
            for certificate in certificates where X509_STORE_add_cert(store, certificate) != 1 { ERR_clear_error() }
        }
    }

    private func use(_ identity: ClientIdentity) throws(TransportError) {
        let chain = Self.certificates(identity.certificateChain)
        defer { chain.forEach(X509_free) }
        guard let leaf = chain.first, SSL_CTX_use_certificate(pointer, leaf) == 1 else {
            ERR_clear_error()
            throw .tls("the client certificate is no certificate in PEM")
        }
        for issuer in chain.dropFirst() {
            // SSL_CTX_add1_chain_cert, a macro.
            SSL_CTX_ctrl(pointer, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(issuer))
        }
        let key = Self.withMemory(identity.privateKey) { PEM_read_bio_PrivateKey($0, nil, noPassword, nil) }
        defer { EVP_PKEY_free(key) }
        guard let key else {
            ERR_clear_error()
            throw .tls("the client key is no unencrypted private key in PEM")
        }
        guard SSL_CTX_use_PrivateKey(pointer, key) == 1, SSL_CTX_check_private_key(pointer) == 1 else {
            ERR_clear_error()
            throw .tls("the client key does not belong to the client certificate")
        }
    }

    /// Every certificate of a PEM text; the caller frees them.
    private static func certificates(_ text: [UInt8]) -> [OpaquePointer] {
        let found = withMemory(text) { memory in
            var found: [OpaquePointer] = []
            while let certificate = PEM_read_bio_X509(memory, nil, noPassword, nil) { found.append(certificate) }
            return found
        }
        // Reading ends with an error that is none.
        ERR_clear_error()
        return found ?? []
    }

    private static func withMemory<Value>(_ bytes: [UInt8], _ body: (OpaquePointer) -> Value?) -> Value? {
        bytes.withUnsafeBytes { buffer in
            guard !buffer.isEmpty, let memory = BIO_new_mem_buf(buffer.baseAddress, Int32(clamping: buffer.count)) else {
                return nil
            }
            defer { BIO_free(memory) }
            return body(memory)
        }
    }
}

/// Has OpenSSL never ask the terminal for a password.
private let noPassword: @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 = {
    _, _, _, _ in -1
}
