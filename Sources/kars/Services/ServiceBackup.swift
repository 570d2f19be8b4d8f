import CommandTree
import Glibc
import MeshNode
import Storage

/// `kars relay backup` and `kars registry backup`: copies of what a service knows, while it runs.
enum ServiceBackup {
    private static let target = Argument("file", help: "The copy, made with mode 0600", kind: .file)

    /// - Parameters:
    ///   - file: the database in the service's data folder.
    ///   - discussion: what a copy is good for.
    static func command(_ role: String, file: String, discussion: String) -> Command {
        Command(
            "backup", summary: "Copy what the \(role) knows into a file, also while it runs",
            discussion: "The copy is of one moment, and there as a whole or not at all. To use it, put it in an empty "
                + "data folder as \(file) and start the \(role) there. " + discussion,
            arguments: [target],
            options: [
                ServiceOptions.data(role), .flag("force", short: "f", help: "Replace a file that is there"),
            ],
            examples: [
                Example("kars \(role) backup \(role)-monday.db", "Copy this machine's \(role)"),
                Example("kars \(role) backup --data /var/lib/kars --force \(role).db", "Replace yesterday's copy"),
            ],
            environment: [KarsHome.variable]
        ) { invocation in
            let source = "\(try ServiceOptions.dataFolder(role, invocation))/\(file)"
            let path = absolutePath(invocation.argument("file") ?? "")
            guard access(source, F_OK) == 0 else {
                throw OperationFailure(
                    .notFound, "there is no \(role) with its data at \(source)", hint: "name its folder with --data")
            }
            let force = invocation.flag("force")
            guard force || access(path, F_OK) != 0 else {
                throw OperationFailure(.conflict, "\(path) is there already", hint: "give another name, or --force")
            }
            try DatabaseBackup.write(of: source, to: path, replacing: force)
            try Console.line("copied \(source) to \(path)")
        }
    }
}
