import Dispatch
import FoundationEssentials
import Glibc

/// What the reference agent does with files, beside talking: enough to show that an offload brings them and takes them.
///
/// `return files` copies all that is in `incoming` to `outgoing`; `wait for <name>` ends once a file of that name is in
/// `incoming`. Both may be done twice and come to the same end, because a request that is repeated after a crash is.
enum Errand: Sendable, Equatable {
    case returnFiles
    case waitFor(String)

    private static let longestName = 128
    private static let interval = Duration.milliseconds(20)
    private static let queue = DispatchQueue(label: "kars.agent.errands")

    /// Nil for a message that is only talk.
    init?(_ message: String) {
        if message == "return files" {
            self = .returnFiles
            return
        }
        let prefix = "wait for "
        guard message.hasPrefix(prefix) else { return nil }
        let name = message.dropFirst(prefix.count)
        guard (1...Self.longestName).contains(name.utf8.count), name != ".", name != "..", !name.contains("/"),
            !name.utf8.contains(0)
        else { return nil }
        self = .waitFor(String(name))
    }

    /// - Parameter folder: where `incoming` and `outgoing` are.
    /// - Returns: what to say about it.
    func carryOut(in folder: String) async throws(AgentError) -> String {
        switch self {
        case .returnFiles: return try await Self.returnFiles(in: folder)
        case .waitFor(let name):
            while access("\(folder)/incoming/\(name)", F_OK) != 0 {
                do { try await Task.sleep(for: Self.interval) } catch { throw .stopped }
            }
            return "\(name) is here."
        }
    }

    private static func returnFiles(in folder: String) async throws(AgentError) -> String {
        let outcome = await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: Result { try copyAll(in: folder) }) }
        }
        do {
            let count = try outcome.get()
            return count == 1 ? "Returned 1 name." : "Returned \(count) names."
        } catch { throw .files(reason: "\(error)") }
    }

    /// - Returns: names at the top of the folder.
    private static func copyAll(in folder: String) throws -> Int {
        let (source, target) = (folder + "/incoming", folder + "/outgoing")
        guard mkdir(target, 0o700) == 0 || errno == EEXIST else {
            throw AgentError.files(reason: "\(target): \(String(cString: strerror(errno)))")
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: source)
        for name in names {
            // What a crash left of it gives way.
            try? FileManager.default.removeItem(atPath: "\(target)/\(name)")
            try FileManager.default.copyItem(atPath: "\(source)/\(name)", toPath: "\(target)/\(name)")
        }
        return names.count
    }
}
