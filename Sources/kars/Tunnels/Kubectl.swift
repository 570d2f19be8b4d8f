import Glibc
import MeshNode

/// The program `kubectl`, for what it does best: ports and terminals.
enum Kubectl {
    /// Its file.
    ///
    /// - Throws: `unavailable` when there is none on the PATH.
    static func path(_ environment: [String: String]) throws(OperationFailure) -> String {
        let folders = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":")
        let files = folders.map { (folder) -> String in "\(folder)/kubectl" }
        guard let path = files.first(where: { access($0, X_OK) == 0 }) else {
            throw OperationFailure(.unavailable, "kubectl is not installed", hint: "install it, and have it on the PATH")
        }
        return path
    }

    /// Becomes kubectl: it takes over this process and its terminal.
    static func become(_ arguments: [String], _ environment: [String: String]) throws -> Never {
        let path = try path(environment)
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") } + [nil]
        // It decides itself what a reader that left means.
        signal(SIGPIPE, SIG_DFL)
        execve(path, &words, &variables)
        throw OperationFailure(.failed, "kubectl cannot be run: \(String(cString: strerror(errno)))")
    }
}
