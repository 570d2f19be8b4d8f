import FoundationEssentials
import Glibc

/// A program that keeps passwords of registries for Docker (`docker-credential-<name>`).
struct CredentialHelper {
    /// A person may have to unlock a keychain meanwhile.
    private static let patience = Duration.seconds(60)
    private static let maximumBytes = 64 << 10

    let name: String
    let environment: [String: String]

    struct Credential: Decodable, Equatable {
        let username: String
        let secret: String

        private enum CodingKeys: String, CodingKey {
            case username = "Username"
            case secret = "Secret"
        }
    }

    /// Asks for a registry's; nil when the helper knows none. Blocks.
    ///
    /// - Throws: ``SandboxError/engine(reason:)`` when it is missing or says something else.
    func credential(of registry: String) throws(SandboxError) -> Credential? {
        let (status, output) = try run("get", told: registry + "\n")
        guard status == 0 else {
            if String(decoding: output, as: UTF8.self).contains("credentials not found") { return nil }
            // What it printed may be anything.
            throw .engine(reason: "docker-credential-\(name) ended with status \(status) when asked for \(registry)")
        }
        guard let credential = try? JSONDecoder().decode(Credential.self, from: Data(output)) else {
            throw .engine(reason: "docker-credential-\(name) did not answer with a credential")
        }
        return credential
    }

    private func run(_ verb: String, told: String) throws(SandboxError) -> (status: Int32, output: [UInt8]) {
        guard let path else {
            throw .engine(reason: "docker-credential-\(name) is not installed, and Docker's configuration asks for it")
        }
        var input: [Int32] = [-1, -1], output: [Int32] = [-1, -1]
        guard pipe(&input) == 0 else { throw .lastFailure("a pipe") }
        guard pipe(&output) == 0 else {
            for end in input { close(end) }
            throw .lastFailure("a pipe")
        }
        for end in input + output { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let nothing = open("/dev/null", O_WRONLY | O_CLOEXEC)
        defer { for end in [input[1], output[0], nothing] where end >= 0 { close(end) } }
        let pid: pid_t
        do {
            defer {
                close(input[0])
                close(output[1])
            }
            pid = try Spawn.start([path, verb], environment: environment, descriptors: [input[0], output[1], nothing])
        }
        // Shorter than any pipe's buffer, so that nothing waits.
        _ = Array(told.utf8).withUnsafeBytes { write(input[1], $0.baseAddress, $0.count) }
        close(input[1])
        input[1] = -1
        let answer = Self.read(output[0])
        if answer == nil { kill(pid, SIGKILL) }
        let status = Spawn.reap(pid) ?? -1
        guard let answer else {
            throw .engine(reason: "docker-credential-\(name) took longer than a minute, or said too much")
        }
        return (status, answer)
    }

    /// Everything to the end; nil when it takes too long or is too much.
    private static func read(_ descriptor: Int32) -> [UInt8]? {
        let deadline = ContinuousClock.now + patience
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let left = Int32(clamping: Int((deadline - .now) / .milliseconds(1)))
            guard left > 0, bytes.count <= maximumBytes else { return nil }
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, left) > 0 || errno == EINTR else { return nil }
            guard wait.revents != 0 else { continue }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            bytes += buffer[..<count]
        }
    }

    /// The program's file; nil when there is none, or the name could lead elsewhere.
    private var path: String? {
        guard !name.isEmpty, name.utf8.allSatisfy({ byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
        }) else { return nil }
        let folders = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":")
        return folders.map { "\($0)/docker-credential-\(name)" }.first { access($0, X_OK) == 0 }
    }
}
