import CommandTree
import Resources

/// A kind of object in a cluster that a command of its own manages: what differs between those commands.
///
/// What they have in common is made of it in `ManagedKind+commands.swift`.
struct ManagedKind: Sendable {
    /// A column of the list between name and age.
    struct Column: Sendable {
        let title: String
        let path: [String]

        init(_ title: String, _ path: String...) {
            self.title = title
            self.path = path
        }

        func text(of object: KubernetesObject) -> String {
            switch object[path: path] {
            case .string(let text)?: text
            case .int(let number)?: String(number)
            case .bool(let bool)?: bool ? "true" : "false"
            default: "-"
            }
        }
    }

    /// What a command line says about an object.
    struct Draft {
        var spec: JSONValue
        /// What was understood otherwise than written; each goes to standard error.
        var warnings: [String] = []
    }

    let type: any CustomResourceSpec.Type
    /// The word on the command line.
    let command: String
    var aliases: [String] = []
    var group = "Governance"
    let summary: String
    let discussion: String
    /// Options of `apply` that say what becomes of the spec; they exclude `--from-file`.
    let options: [Option]
    let columns: [Column]
    let examples: [Example]
    /// The spec that those options say.
    let draft: @Sendable (_ invocation: Invocation) throws(UsageError) -> Draft
    /// Whether a sandbox names, or is chosen by, an object of this kind.
    let isUsed: @Sendable (_ object: KubernetesObject, _ sandbox: KubernetesObject) -> Bool

    var resource: KubernetesResource { type.resource }
}
