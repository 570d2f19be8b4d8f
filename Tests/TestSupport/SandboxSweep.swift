import Foundation

/// Ends what a failed test left running: sandboxes outlive their node by design, but no test.
public enum SandboxSweep {
    private struct Record: Decodable { let initPid: Int32 }

    /// Kills every sandbox whose records stand below the folder, and removes what each has in memory.
    public static func end(below folder: String) {
        guard let paths = FileManager.default.enumerator(atPath: folder) else { return }
        for case let path as String in paths where path.hasSuffix("/sandbox.json") {
            let file = URL(fileURLWithPath: folder + "/" + path).deletingLastPathComponent()
            if let data = FileManager.default.contents(atPath: file.path + "/run.json"),
                let record = try? JSONDecoder().decode(Record.self, from: data), record.initPid > 1
            {
                kill(record.initPid, SIGKILL)
            }
            // Its credentials in memory: the folder's name is a hash (FNV-1a) of that of the sandboxes.
            let root = file.deletingLastPathComponent().path
            let tag = root.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
            let base = "/dev/shm/kars-\(geteuid())-\(String(tag, radix: 16))"
            try? FileManager.default.removeItem(atPath: "\(base)/\(file.lastPathComponent)")
            rmdir(base)
        }
    }
}
