import Dispatch
import FoundationEssentials
import Glibc
import Transport

/// Builds images of agents with the Docker engine of this machine.
public struct ImageBuilder: Sendable {
    /// What a build says: a line of its output, or of what happens.
    public typealias Report = @Sendable (String) -> Void

    private let engine: DockerEngine

    /// - Parameters:
    ///   - environment: may name the engine's socket (`DOCKER_HOST`).
    ///   - loop: carries the requests to the engine.
    public init(environment: [String: String], loop: EventLoop) throws(SandboxError) {
        engine = DockerEngine(socket: try DockerEngine.socket(environment), loop: loop)
    }

    /// - Returns: whether an image of the name is at the engine.
    public func has(_ name: String) async throws(SandboxError) -> Bool { try await engine.image(name) != nil }

    /// - Returns: whether the image says that it keeps the runtime contract.
    public func keepsContract(_ name: String) async throws(SandboxError) -> Bool {
        try await engine.image(name)?.Config?.Labels?[ImageContract.label] == ImageContract.version
    }

    /// Builds ``BaseImage``.
    ///
    /// - Parameters:
    ///   - image: what it is put on; nil for nothing, so that no registry is asked.
    ///   - karsExecutable: the program that goes in.
    public func buildBase(
        on image: String?, karsExecutable: String, report: @escaping Report
    ) async throws(SandboxError) {
        if let image, !SandboxSpec.isImage(image) {
            throw .invalidSpec(reason: "\(image) is no name of an image")
        }
        let archive = try await Self.blocking { () throws(SandboxError) in
            var path = Array("/tmp/kars-base-XXXXXX".utf8CString)
            guard let made = mkdtemp(&path) else { throw .lastFailure("a temporary folder") }
            let folder = String(cString: made)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try BaseImage.layOut(in: folder, on: image, karsExecutable: karsExecutable)
            return try BuildContext(folder: folder).archive()
        }
        try await engine.build(BaseImage.name, context: archive, report: report)
    }

    /// Builds the image of an agent from the `Dockerfile` in a folder.
    ///
    /// - Parameter name: the image's name at the engine; one that is there gives the name away.
    public func build(_ name: String, from folder: String, report: @escaping Report) async throws(SandboxError) {
        guard SandboxSpec.isImage(name) else { throw .invalidSpec(reason: "\(name) is no name of an image") }
        let archive = try await Self.blocking { () throws(SandboxError) in try BuildContext(folder: folder).archive() }
        report("sending \((archive.count + (1 << 20) - 1) >> 20) MiB to the engine")
        try await engine.build(name, context: archive, report: report)
    }

    private static func blocking<Value: Sendable>(
        _ work: @escaping @Sendable () throws(SandboxError) -> Value
    ) async throws(SandboxError) -> Value {
        let result = await withCheckedContinuation { continuation in
            DispatchQueue(label: "kars.images").async {
                continuation.resume(returning: Result { () throws(SandboxError) in try work() })
            }
        }
        return try result.get()
    }
}
