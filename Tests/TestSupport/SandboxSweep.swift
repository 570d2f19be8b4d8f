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
            // Its credentials in memory: the folder's name is a hash (FNV-1a) of that of the sandboxes.
            let file = URL(fileURLWithPath: folder + "/" + path).deletingLastPathComponent()
            let root = file.deletingLastPathComponent().path
            let tag = root.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
            let base = "/dev/shm/kars-\(geteuid())-\(String(tag, radix: 16))"
            try? FileManager.default.removeItem(atPath: "\(base)/\(file.lastPathComponent)")
            rmdir(base)
        }
    }
}
