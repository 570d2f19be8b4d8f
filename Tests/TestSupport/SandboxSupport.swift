import Foundation

/// Whether this machine can make sandboxes; tests that need one say so when it cannot.
public enum SandboxSupport {
    public static let isThere: Bool = {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/bwrap")
        process.arguments = ["--unshare-all", "--ro-bind", "/", "/", "true"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        if process.terminationStatus != 0 { print("SKIPPED: bubblewrap cannot make sandboxes on this machine") }
        return process.terminationStatus == 0
    }()
}
