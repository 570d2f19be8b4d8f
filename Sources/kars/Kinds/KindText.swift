import CommandTree
import FoundationEssentials
import Resources

/// How objects of a managed kind look.
enum KindText {
    static func table(
        _ objects: [KubernetesObject], _ columns: [ManagedKind.Column], withNamespace: Bool, style: TerminalStyle
    ) -> String {
        var table = Table(
            header: (withNamespace ? ["NAMESPACE"] : []) + ["NAME"] + columns.map(\.title) + ["AGE", "STATUS"])
        let now = Date()
        for object in objects {
            table.add(
                (withNamespace ? [object.namespace ?? "-"] : []) + [object.name] + columns.map { $0.text(of: object) }
                    + [age(of: object, at: now), phase(object)])
        }
        return table.text(style)
    }

    /// Where it stands, its conditions, and its spec in YAML.
    static func facts(_ object: KubernetesObject) -> String {
        var rows = [
            ("Name", object.name), ("Namespace", object.namespace ?? "-"), ("Status", phase(object)),
            ("Age", age(of: object, at: Date())),
        ]
        for condition in object.status?["conditions"]?.arrayValue ?? [] {
            let text = { (name: String) in condition[name]?.stringValue ?? "" }
            rows.append((text("type"), "\(text("status")) \(text("reason")): \(text("message"))"))
        }
        let spec = YAML.text(object.spec ?? [:]).split(separator: "\n").map { "  \($0)\n" }.joined()
        return kars.facts(rows.map { ($0, PrintableText.escaped($1)) }) + "Spec:\n" + spec
    }

    private static func phase(_ object: KubernetesObject) -> String {
        object.status?["phase"]?.stringValue ?? "-"
    }

    /// In its largest unit, as kubectl shows it: 45s, 12m, 5h, 3d.
    static func age(of object: KubernetesObject, at now: Date) -> String {
        guard let created = object.creationTimestamp.flatMap({ try? Date($0, strategy: .iso8601) }) else { return "-" }
        let seconds = max(0, Int(now.timeIntervalSince(created)))
        return switch seconds {
        case ..<120: "\(seconds)s"
        case ..<7200: "\(seconds / 60)m"
        case ..<172_800: "\(seconds / 3600)h"
        default: "\(seconds / 86400)d"
        }
    }
}
