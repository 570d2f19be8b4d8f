import FoundationEssentials
import Glibc

/// The image that images of agents begin with: kars, the libraries it needs and their loader, the authorities it
/// trusts, and the reference agent as what it runs. Nothing is fetched for it unless it is put on another image.
public enum BaseImage {
    /// Its name at the engine; a Dockerfile begins `FROM kars-sandbox-base:dev`.
    public static let name = "kars-sandbox-base:dev"
    private static let authorities = "/etc/ssl/certs/ca-certificates.crt"

    /// The recipe; pure, so that a test can read it.
    ///
    /// - Parameter image: what it is put on; nil for nothing.
    static func recipe(on image: String?) -> String {
        let words = SandboxLayout.referenceAgent.map { "\"\($0)\"" }.joined(separator: ", ")
        return """
            FROM \(image ?? "scratch")
            COPY root/ /
            WORKDIR \(SandboxLayout.home)
            USER \(SandboxLayout.userID):\(SandboxLayout.userID)
            CMD [\(words)]
            LABEL \(ImageContract.label)=\(ImageContract.version)

            """
    }

    /// Lays out the files of a build below an empty folder. Blocks.
    static func layOut(in folder: String, on image: String?, karsExecutable: String) throws(SandboxError) {
        let runtime = try DockerRuntime.make(root: folder, karsExecutable: karsExecutable)
        let root = folder + "/root"
        do {
            let files = FileManager.default
            try files.createDirectory(atPath: root + "/opt", withIntermediateDirectories: true)
            try files.moveItem(atPath: runtime.folder, toPath: root + DockerRuntime.place)
            try files.removeItem(atPath: URL(filePath: runtime.folder).deletingLastPathComponent().path)
            // An image that is put on another one keeps what that has.
            if image == nil {
                try files.createDirectory(atPath: root + "/etc/ssl/certs", withIntermediateDirectories: true)
                if access(authorities, R_OK) == 0 {
                    try files.copyItem(atPath: authorities, toPath: root + authorities)
                }
                let spec = SandboxSpec(name: "sandbox")
                for (name, text) in SandboxLayout.settings(for: spec) where !["hosts", "hostname"].contains(name) {
                    try Data(text.utf8).write(to: URL(filePath: "\(root)/etc/\(name)"))
                    guard chmod("\(root)/etc/\(name)", 0o644) == 0 else { throw SandboxError.lastFailure(name) }
                }
            }
            for path in [root, root + "/opt"] where chmod(path, 0o755) != 0 { throw SandboxError.lastFailure(path) }
            try Data(recipe(on: image).utf8).write(to: URL(filePath: folder + "/" + BuildContext.recipe))
        } catch let error as SandboxError {
            throw error
        } catch { throw .system(what: folder, reason: "\(error)") }
    }
}

/// The label by which an image says that it keeps the runtime contract.
enum ImageContract {
    static let label = "org.kars.runtime.contract"
    static let version = "v1"
}
