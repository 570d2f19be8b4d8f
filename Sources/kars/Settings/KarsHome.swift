import CommandTree
import Glibc

/// The folder of keys and state: `KARS_HOME`, else `~/.kars` (behaviours §1).
struct KarsHome: Sendable {
    /// How the tree describes the variable.
    static let variable = EnvironmentVariable("KARS_HOME", help: "Folder of keys and state instead of ~/.kars")

    let path: String

    /// - Throws: when neither `KARS_HOME` nor a home folder is known.
    init(_ environment: [String: String]) throws(UsageError) {
        if let path = environment["KARS_HOME"], !path.isEmpty {
            self.path = absolutePath(path)
        } else if let home = environment["HOME"], !home.isEmpty {
            path = home + "/.kars"
        } else {
            throw .refused("neither KARS_HOME nor HOME is set; set KARS_HOME to a folder for keys and state")
        }
    }

    /// Where a service keeps its data unless told otherwise.
    func folder(of role: String) -> String { "\(path)/\(role)" }
}

/// A path that stays right when the folder changes or another process reads it.
func absolutePath(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    guard let current = getcwd(nil, 0) else { return path }
    defer { free(current) }
    let folder = String(cString: current)
    return path == "." ? folder : "\(folder)/\(path)"
}
