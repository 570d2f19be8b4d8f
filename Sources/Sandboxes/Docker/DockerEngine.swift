import FoundationEssentials
import Glibc
import Transport

/// The Docker Engine API, version 1.41 (Docker 20.10), over the engine's Unix socket.
struct DockerEngine: Sendable {
    /// Where the engine listens unless `DOCKER_HOST` says otherwise.
    static let standardSocket = "/var/run/docker.sock"
    static let hostVariable = "DOCKER_HOST"
    static let version = "/v1.41"
    private static let maximumAnswerBytes = 8 << 20

    let socket: String
    let loop: EventLoop
    private let client: HTTPClient
    /// For answers that come when a container ends.
    private let patient: HTTPClient

    init(socket: String, loop: EventLoop) {
        self.socket = socket
        self.loop = loop
        client = HTTPClient(loop: loop, timeout: .seconds(60), maximumBodyBytes: Self.maximumAnswerBytes)
        patient = HTTPClient(loop: loop, timeout: .seconds(7 * 86_400), maximumBodyBytes: 65_536)
    }

    /// The socket that the environment names.
    ///
    /// - Throws: for an engine elsewhere: the driver shares folders of this machine with it.
    static func socket(_ environment: [String: String]) throws(SandboxError) -> String {
        guard let host = environment[hostVariable], !host.isEmpty else { return standardSocket }
        guard host.hasPrefix("unix://") else {
            throw .engine(reason: "\(hostVariable) is \(host), and only an engine on this machine (unix://…) can be used")
        }
        return String(host.dropFirst("unix://".count))
    }

    // MARK: The engine

    /// What the engine can enforce, and who it runs as.
    struct Facts: Decodable {
        let memoryLimit: Bool?
        let pidsLimit: Bool?
        let cpuQuota: Bool?
        let securityOptions: [String]?
        let serverVersion: String?

        private enum CodingKeys: String, CodingKey {
            case memoryLimit = "MemoryLimit"
            case pidsLimit = "PidsLimit"
            case cpuQuota = "CpuCfsQuota"
            case securityOptions = "SecurityOptions"
            case serverVersion = "ServerVersion"
        }

        /// Why its containers' users are others on the host; nil when they are the same.
        var userMapping: UserMapping? {
            // Such as `name=seccomp,profile=default`. A rootless engine names both.
            let names = (securityOptions ?? []).flatMap { $0.split(separator: ",") }
            if names.contains("name=rootless") { return .rootless }
            return names.contains("name=userns") ? .remapped : nil
        }
    }

    /// Users in containers have other numbers on the host.
    enum UserMapping {
        /// The engine runs as an ordinary user, who is root in its containers.
        case rootless
        /// An engine of root's gives its containers users that no one else has (`userns-remap`).
        case remapped
    }

    func facts() async throws(SandboxError) -> Facts { try decode(try await expect([200], "GET", "/info")) }

    // MARK: Images

    /// What an image says of itself.
    struct Image: Decodable, Sendable {
        let Config: Configuration?

        struct Configuration: Decodable, Sendable {
            let Entrypoint: [String]?
            let Cmd: [String]?
            let WorkingDir: String?
            let Env: [String]?
            let Labels: [String: String]?
        }

        /// What it runs.
        var command: [String] { (Config?.Entrypoint ?? []) + (Config?.Cmd ?? []) }
    }

    /// Nil when it is not on this machine.
    func image(_ name: String) async throws(SandboxError) -> Image? {
        let answer = try await expect([200, 404], "GET", "/images/\(Self.escaped(name))/json")
        return answer.status == 404 ? nil : try decode(answer)
    }

    /// Makes an image of a tar archive.
    func importImage(_ archive: [UInt8], repository: String, tag: String) async throws(SandboxError) {
        let answer = try await expect(
            [200], "POST", "/images/create?fromSrc=-&repo=\(Self.escaped(repository))&tag=\(Self.escaped(tag))",
            body: archive, type: "application/x-tar")
        // Progress lines; the status was sent before the work was done.
        guard !answer.body.containsText("\"error\"") else { throw .engine(reason: Self.message(answer.body)) }
    }

    // MARK: Containers

    struct Container: Decodable, Sendable {
        let id: String
        let state: State

        struct State: Decodable, Sendable {
            let running: Bool
            let paused: Bool
            let pid: Int32
            let exitCode: Int32
            let error: String?

            private enum CodingKeys: String, CodingKey {
                case running = "Running"
                case paused = "Paused"
                case pid = "Pid"
                case exitCode = "ExitCode"
                case error = "Error"
            }
        }

        private enum CodingKeys: String, CodingKey {
            case id = "Id"
            case state = "State"
        }
    }

    /// - Returns: nil when the name is taken.
    func create(_ name: String, _ container: DockerContainer) async throws(SandboxError) -> String? {
        struct Answer: Decodable { let Id: String }
        let answer = try await expect(
            [201, 409], "POST", "/containers/create?name=\(Self.escaped(name))", body: encode(container))
        if answer.status == 409 { return nil }
        return try (decode(answer) as Answer).Id
    }

    func start(_ id: String) async throws(SandboxError) { _ = try await expect([204, 304], "POST", "/containers/\(id)/start") }

    /// Nil when there is none.
    func inspect(_ id: String) async throws(SandboxError) -> Container? {
        let answer = try await expect([200, 404], "GET", "/containers/\(id)/json")
        return answer.status == 404 ? nil : try decode(answer)
    }

    /// - Returns: false when the engine takes it for paused already.
    func pause(_ id: String) async throws(SandboxError) -> Bool {
        try await change(id, "pause", unless: "already paused")
    }

    /// - Returns: false when the engine takes it for one that is not paused.
    func unpause(_ id: String) async throws(SandboxError) -> Bool {
        try await change(id, "unpause", unless: "not paused")
    }

    private func change(_ id: String, _ action: String, unless refusal: String) async throws(SandboxError) -> Bool {
        let answer = try await expect([204, 409, 500], "POST", "/containers/\(id)/\(action)")
        if answer.status == 204 { return true }
        let message = Self.message(answer.body)
        guard message.contains(refusal) else { throw .engine(reason: message) }
        return false
    }

    /// Sends a signal; a paused container is resumed after it. One that ended is fine.
    func kill(_ id: String, signal: String) async throws(SandboxError) {
        _ = try await expect([204, 404, 409], "POST", "/containers/\(id)/kill?signal=\(signal)")
    }

    /// Kills and removes; absent is fine.
    func remove(_ id: String) async throws(SandboxError) {
        // 409: somebody else is removing it.
        _ = try await expect([204, 404, 409], "DELETE", "/containers/\(id)?force=1&v=1")
    }

    /// Removes what is left of a sandbox, such as a container that ended while the engine did.
    func removeAll(of sandbox: String, node: String) async throws(SandboxError) {
        for (id, labels) in try await list(label: DockerContainer.nodeLabel, value: node)
        where labels[DockerContainer.sandboxLabel] == sandbox {
            try await remove(id)
        }
    }

    /// Waits for the end.
    ///
    /// - Returns: its exit status; nil when it is gone.
    func wait(_ id: String) async throws(SandboxError) -> Int32? {
        struct Answer: Decodable { let StatusCode: Int32 }
        let answer = try await expect([200, 404], "POST", "/containers/\(id)/wait", over: patient)
        return answer.status == 404 ? nil : try (decode(answer) as Answer).StatusCode
    }

    /// What the container printed; for the reason why it did not start.
    func output(_ id: String) async -> String {
        guard let answer = try? await expect([200], "GET", "/containers/\(id)/logs?stdout=1&stderr=1&tail=5") else {
            return ""
        }
        // Each piece has a header of eight bytes: stream, three zeros, length.
        var rest = answer.body[...]
        var text: [UInt8] = []
        while rest.count >= 8 {
            let header = Array(rest.prefix(8))
            let length = header[4...].reduce(0) { $0 << 8 | Int($1) }
            text += rest.dropFirst(8).prefix(length)
            rest = rest.dropFirst(8 + length)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Ids and labels of containers with a label, also of those that ended.
    func list(label: String, value: String) async throws(SandboxError) -> [(id: String, labels: [String: String])] {
        struct Entry: Decodable {
            let Id: String
            let Labels: [String: String]?
        }
        let filter = Self.escaped("{\"label\":[\"\(label)=\(value)\"]}")
        let entries: [Entry] = try decode(try await expect([200], "GET", "/containers/json?all=1&filters=\(filter)"))
        return entries.map { ($0.Id, $0.Labels ?? [:]) }
    }

    // MARK: Requests

    private func expect(
        _ statuses: [Int], _ method: String, _ target: String, headers: HTTPHeaders = [:], body: [UInt8] = [],
        type: String = "application/json", over other: HTTPClient? = nil
    ) async throws(SandboxError) -> HTTPClientResponse {
        let url = ServiceURL(unixSocket: socket, target: Self.version + target)
        var headers = headers
        if !body.isEmpty { headers.add("content-type", type) }
        let answer: HTTPClientResponse
        do {
            answer = try await (other ?? client).send(
                HTTPClientRequest(method: method, url: url, headers: headers, body: body))
        } catch {
            throw .engine(reason: "it does not answer at \(socket): \(error)")
        }
        guard statuses.contains(answer.status) else { throw .engine(reason: Self.message(answer.body)) }
        return answer
    }

    private func decode<Value: Decodable>(_ answer: HTTPClientResponse) throws(SandboxError) -> Value {
        do { return try JSONDecoder().decode(Value.self, from: Data(answer.body)) } catch {
            throw .engine(reason: "an answer that is not understood")
        }
    }

    private func encode(_ value: some Encodable) throws(SandboxError) -> [UInt8] {
        do { return Array(try JSONEncoder().encode(value)) } catch {
            throw .engine(reason: "a request cannot be written: \(error)")
        }
    }

    static func message(_ body: [UInt8]) -> String {
        struct Refusal: Decodable {
            let message: String?
            let error: String?
        }
        // Of progress lines the last one is the refusal.
        let line = body.split(separator: UInt8(ascii: "\n")).last ?? []
        let told = try? JSONDecoder().decode(Refusal.self, from: Data(line))
        return told?.message ?? told?.error ?? String(String(decoding: body.prefix(300), as: UTF8.self))
    }

    static func escaped(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "/"), UInt8(ascii: ":"):
                escaped.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                escaped += "%" + (digits.count == 1 ? "0" + digits : digits)
            }
        }
        return escaped
    }
}

extension [UInt8] {
    fileprivate func containsText(_ text: String) -> Bool { String(decoding: self, as: UTF8.self).contains(text) }
}
