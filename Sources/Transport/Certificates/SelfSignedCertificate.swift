import COpenSSL
import Glibc

/// A certificate for a server that vouches for itself: whoever is given it trusts that server, and nothing else by it.
public struct SelfSignedCertificate: Sendable {
    /// PEM of the certificate (RFC 5280), which is also the authority to trust.
    public let certificate: [UInt8]
    /// PEM of the private key, PKCS #8, not encrypted.
    public let privateKey: [UInt8]

    /// Makes one with a new key on the curve P-256.
    ///
    /// - Parameters:
    ///   - names: such as `IP:192.0.2.1` or `DNS:mesh.example`, at least one; what a client may call the server.
    ///   - commonName: for people who read it.
    ///   - days: how long it holds from now on.
    /// - Throws: ``TransportError/tls(_:)`` for names that are none.
    public static func make(names: [String], commonName: String, days: Int) throws(TransportError) -> SelfSignedCertificate {
        guard let key = newKey() else { throw .tls("no key can be made") }
        defer { EVP_PKEY_free(key) }
        guard let certificate = X509_new() else { throw .tls("no certificate can be made") }
        defer { X509_free(certificate) }
        var serial: UInt64 = 0
        let start = time(nil)
        guard withUnsafeMutableBytes(of: &serial, { RAND_bytes($0.baseAddress, Int32($0.count)) }) == 1,
            X509_set_version(certificate, 2) == 1,
            ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1,
            // Clocks differ.
            ASN1_TIME_adj(X509_getm_notBefore(certificate), start, 0, -300) != nil,
            ASN1_TIME_adj(X509_getm_notAfter(certificate), start, Int32(clamping: days), 0) != nil,
            X509_set_pubkey(certificate, key) == 1, let subject = X509_get_subject_name(certificate),
            X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, commonName, -1, -1, 0) == 1,
            X509_set_issuer_name(certificate, subject) == 1
        else { throw .tls("no certificate can be made") }
        let extensions = [
            (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
            (NID_ext_key_usage, "serverAuth"), (NID_subject_alt_name, names.joined(separator: ",")),
        ]
        for (kind, value) in extensions {
            guard let part = X509V3_EXT_conf_nid(nil, nil, kind, value) else {
                ERR_clear_error()
                throw .tls("\(value) is no name a certificate can have")
            }
            defer { X509_EXTENSION_free(part) }
            guard X509_add_ext(certificate, part, -1) == 1 else { throw .tls("no certificate can be made") }
        }
        guard X509_sign(certificate, key, EVP_sha256()) > 0,
            let text = pem({ PEM_write_bio_X509($0, certificate) }),
            let secret = pem({ PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil) })
        else { throw .tls("no certificate can be made") }
        return SelfSignedCertificate(certificate: text, privateKey: secret)
    }

    private static func newKey() -> OpaquePointer? {
        guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil) else { return nil }
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1,
            EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1,
            EVP_PKEY_keygen(context, &key) == 1
        else { return nil }
        return key
    }

    private static func pem(_ write: (OpaquePointer) -> Int32) -> [UInt8]? {
        guard let memory = BIO_new(BIO_s_secmem()) else { return nil }
        defer { BIO_free(memory) }
        guard write(memory) == 1 else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(BIO_ctrl_pending(memory)))
        let count = BIO_read(memory, &bytes, Int32(bytes.count))
        return Int(count) == bytes.count ? bytes : nil
    }
}
