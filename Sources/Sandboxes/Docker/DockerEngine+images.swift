import FoundationEssentials
import Transport

/// Images that are fetched or built, told line by line.
extension DockerEngine {
    /// The longest silence while layers come, of which the engine tells all the time, and while a step of a build
    /// works.
    private static let pullPatience = Duration.seconds(300), buildPatience = Duration.seconds(1800)
    /// Of an answer that is a refusal.
    private static let maximumRefusalBytes = 64 << 10

    /// Fetches an image from its registry; takes as long as that takes.
    ///
    /// - Parameters:
    ///   - login: of ``RegistryLogin``; nil asks as anybody.
    ///   - report: called with each change.
    func pull(
        _ name: String, login: String? = nil, report: @Sendable (ImageProgress) -> Void = { _ in }
    ) async throws(SandboxError) {
        let hasTag = name.contains("@") || name.split(separator: "/").last?.contains(":") == true
        let reference = Self.escaped(hasTag ? name : name + ":latest")
        var count = LayerCount()
        var shown = ImageProgress()
        let refusal = try await follow(
            "/images/create?fromImage=\(reference)", headers: login.map { ["x-registry-auth": $0] } ?? [:],
            patience: Self.pullPatience
        ) { line in
            count.take(line)
            let progress = count.progress
            if progress != shown { report(progress) }
            shown = progress
        }
        if let refusal { throw .engine(reason: "the image \(name) cannot be had: \(refusal)") }
    }

    /// Builds an image from a tar archive with a `Dockerfile`.
    func build(_ name: String, context: [UInt8], report: (String) -> Void) async throws(SandboxError) {
        // Steps that failed leave no container behind.
        let refusal = try await follow(
            "/build?t=\(Self.escaped(name))&rm=1&forcerm=1", headers: ["content-type": "application/x-tar"],
            body: context, patience: Self.buildPatience
        ) { line in
            let said = line.stream ?? (line.progressDetail?.current == nil ? line.status : nil) ?? ""
            for text in said.split(whereSeparator: \.isNewline) { report(String(text)) }
        }
        if let refusal { throw .engine(reason: "the image \(name) cannot be built: \(refusal)") }
    }

    /// Sends a request whose answer says line by line what happens.
    ///
    /// - Returns: why it failed; the status is sent before the work is done.
    private func follow(
        _ target: String, headers: HTTPHeaders, body: [UInt8] = [], patience: Duration, each: (EngineLine) -> Void
    ) async throws(SandboxError) -> String? {
        let url = ServiceURL(unixSocket: socket, target: Self.version + target)
        let client = HTTPClient(loop: loop, timeout: patience)
        do throws(TransportError) {
            let answer = try await client.stream(
                HTTPClientRequest(method: "POST", url: url, headers: headers, body: body))
            guard answer.status == 200 else {
                return Self.message(try await answer.body.collect(limit: Self.maximumRefusalBytes))
            }
            var lines = EngineLines()
            var refusal: String?
            var pieces = answer.body.makeAsyncIterator()
            while let piece = try await pieces.next() {
                for line in lines.take(piece) {
                    if let error = line.error { refusal = error } else { each(line) }
                }
            }
            if let error = lines.end()?.error { refusal = error }
            return refusal
        } catch { throw .engine(reason: "it does not answer at \(socket): \(error)") }
    }
}
