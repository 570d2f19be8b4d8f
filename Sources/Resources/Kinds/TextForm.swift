import FoundationEssentials

/// A form a text must have, and how a message calls it.
struct TextForm: Sendable {
    /// To follow "must be".
    let name: String
    let holds: @Sendable (String) -> Bool

    static let filled = TextForm(name: "a text that is not empty") { !$0.isEmpty }

    /// Counted as the API server counts: in Unicode scalars.
    static func length(_ bounds: ClosedRange<Int>) -> TextForm {
        TextForm(name: "\(bounds.lowerBound) to \(bounds.upperBound) characters") {
            bounds.contains($0.unicodeScalars.count)
        }
    }

    /// Text for people without control characters but tab, line feed and carriage return.
    static func plain(_ bounds: ClosedRange<Int>) -> TextForm {
        TextForm(name: "\(bounds.lowerBound) to \(bounds.upperBound) characters without control characters") { text in
            bounds.contains(text.unicodeScalars.count)
                && text.unicodeScalars.allSatisfy { scalar in
                    scalar.value >= 0x20 && scalar.value != 0x7F || [0x09, 0x0A, 0x0D].contains(scalar.value)
                }
        }
    }

    /// RFC 1123 label.
    static let label = TextForm(name: "1 to 63 of a-z 0-9 -, with a letter or digit at both ends") { isLabel($0) }

    /// The name of another object of the same namespace, as Kubernetes names most objects: an RFC 1123 subdomain.
    static let objectName = TextForm(name: "a name of an object in the same namespace, such as demo-policy") { text in
        text.utf8.count <= 253
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { isLabel(String($0), longest: 253) }
    }

    static let webAddress = TextForm(name: "an address that begins with http:// or https://") { text in
        ["http://", "https://"].contains { text.hasPrefix($0) && text.utf8.count > $0.utf8.count }
    }

    /// RFC 3339.
    static let time = TextForm(name: "a time such as 2026-01-31T12:00:00Z") { text in
        (try? Date(text, strategy: .iso8601)) != nil
            || (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))) != nil
    }

    /// An Ed25519 public key: 32 bytes, base64url without padding.
    static let publicKey = TextForm(name: "an Ed25519 key of 32 bytes in base64url without padding") { text in
        text.wholeMatch(of: /[A-Za-z0-9_\-]{43}/) != nil
    }

    /// `<number><s|m|h|d>`.
    static let window = TextForm(name: "a number and s, m, h or d, such as 10s or 1m") { text in
        text.wholeMatch(of: /[1-9][0-9]*[smhd]/) != nil
    }

    /// ISO 4217 and two decimals.
    static let money = TextForm(name: "a currency and an amount with two decimals, such as EUR 20.00") { text in
        text.utf8.count <= 32 && text.wholeMatch(of: /[A-Z]{3} [0-9]+\.[0-9]{2}/) != nil
    }

    /// ISO 8601, not zero.
    static let duration = TextForm(name: "an ISO 8601 duration that is not zero, such as PT2H") { text in
        text.utf8.count <= 64 && text.contains { ("1"..."9").contains($0) }
            && text.wholeMatch(of: /P([0-9]+Y)?([0-9]+M)?([0-9]+W)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?/) != nil
    }

    /// Five fields, or six with seconds.
    static let schedule = TextForm(name: "a schedule of 5 or 6 fields, such as '0 3 * * *'") { text in
        (1...256).contains(text.unicodeScalars.count)
            && (5...6).contains(text.split(separator: " ", omittingEmptySubsequences: false).count)
    }

    /// Kubernetes quantity.
    static let quantity = TextForm(name: "a quantity such as 500m or 4Gi") { text in
        text.wholeMatch(
            of: /[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+))?/) != nil
    }

    private static func isLabel(_ text: String, longest: Int = 63) -> Bool {
        text.utf8.count <= longest && text.wholeMatch(of: /[a-z0-9]([-a-z0-9]*[a-z0-9])?/) != nil
    }
}
