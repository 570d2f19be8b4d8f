/// Paths of the API (Kubernetes API concepts, "Resource URIs"): every part checked and escaped.
enum KubernetesPath {
    /// Longest name of an object (RFC 1123 subdomain).
    private static let maximumNameBytes = 253

    /// The path of a kind, an object, or a part of one.
    static func of(
        _ resource: KubernetesResource, namespace: String?, name: String? = nil, subresource: String? = nil
    ) throws(KubernetesError) -> String {
        var parts = resource.group.isEmpty ? ["api"] : ["apis", resource.group]
        parts.append(resource.version)
        if resource.isNamespaced, let namespace { parts += ["namespaces", namespace] }
        parts.append(resource.plural)
        if let name { parts.append(name) }
        if let subresource { parts += subresource.split(separator: "/", omittingEmptySubsequences: false).map(String.init) }
        var path = ""
        for part in parts { path += "/" + (try component(part)) }
        return path
    }

    /// What messages call it, such as "pods kars-a/agent".
    static func display(_ resource: KubernetesResource, namespace: String?, name: String? = nil) -> String {
        let place = resource.isNamespaced ? namespace : nil
        switch (place, name) {
        case (let place?, let name?): return "\(resource) \(place)/\(name)"
        case (nil, let name?): return "\(resource) \(name)"
        case (let place?, nil): return "\(resource) in \(place)"
        case (nil, nil): return "\(resource)"
        }
    }

    /// - Throws: ``KubernetesError/invalidRequest(_:)`` for what the API forbids in a path: "/" and "%", "." and ".."
    ///   alone, and nothing at all.
    private static func component(_ text: String) throws(KubernetesError) -> String {
        guard !text.isEmpty, text.utf8.count <= maximumNameBytes, text != ".", text != "..",
            text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "%") })
        else {
            throw .invalidRequest("\"\(text.prefix(80))\" cannot name an object of a cluster; use letters, digits and \"-\"")
        }
        return escaped(text)
    }

    /// Escapes everything but unreserved characters (RFC 3986 §2.3).
    static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
