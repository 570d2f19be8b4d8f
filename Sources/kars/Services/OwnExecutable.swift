import Glibc
import MeshNode

/// The path of the running `kars`, which sandboxes run too.
func ownExecutable() throws -> String {
    guard let path = realpath("/proc/self/exe", nil) else {
        throw OperationFailure(.failed, "the path of this program is not known: is /proc mounted?")
    }
    defer { free(path) }
    return String(cString: path)
}
