/// The close codes of a frame (RFC 6455 §7.4) and how they survive libwebsockets.
///
/// libwebsockets 4.1 sends 1012, 1013 and 1014 but, receiving them, turns them into 1002 before anybody
/// sees them. The reason passes untouched, so it begins with the registered name of the code.
enum CloseCode {
    private static let mangled: [(code: Int, name: String)] = [
        (1012, "service restart"), (1013, "try again later"), (1014, "bad gateway"),
    ]

    /// Bytes of a reason that fit into a frame.
    private static let maximumReasonBytes = 123

    /// Codes that may not stand in a frame become 1000.
    static func sendable(_ code: Int) -> Int {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: code
        default: 1000
        }
    }

    /// UTF-8 of the reason, cut at a character.
    static func reasonToSend(_ reason: String, with code: Int) -> [UInt8] {
        var text = reason
        if let name = mangled.first(where: { $0.code == code })?.name, !reason.hasPrefix(name) {
            text = reason.isEmpty ? name : "\(name): \(reason)"
        }
        while text.utf8.count > maximumReasonBytes { text.removeLast() }
        return Array(text.utf8)
    }

    /// What the peer meant.
    static func received(_ code: Int, reason: String) -> Int {
        guard code == 1002 else { return code }
        return mangled.first { reason.hasPrefix($0.name) }?.code ?? code
    }
}
