import Foundation

/// Ends what a failed test left running: sandboxes outlive their node by design, but no test.
public enum SandboxSweep {
    private struct Record: Decodable { let initPid: Int32 }

    /// Kills every sandbox whose records stand below the folder.
    public static func end(below folder: String) {
        guard let paths = FileManager.default.enumerator(atPath: folder) else { return }
        for case let path as String in paths where path.hasSuffix("/run.json") {
            guard let data = FileManager.default.contents(atPath: folder + "/" + path),
                let record = try? JSONDecoder().decode(Record.self, from: data), record.initPid > 1
            else { continue }
            kill(record.initPid, SIGKILL)
        }
    }
}
