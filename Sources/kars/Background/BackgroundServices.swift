import CommandTree
import Glibc
import MeshNode
import NodeDaemon
import Storage
import Transport

/// The registry, relay and node that `kars dev` starts when none runs, each with its log in `logs/` and its process
/// in `services/` of the home folder.
struct BackgroundServices {
    static let registry = "registry", relay = "relay", node = "node"
    /// In the order they are stopped.
    static let roles = [node, relay, registry]

    /// The gateway takes the first of these ports that is free (behaviours §2).
    private static let gatewayPorts = 18789...18808
    /// How long another command may be starting services.
    private static let patience = Duration.seconds(60)
    /// How long a service may take to end before it is killed.
    private static let stopPatience = Duration.seconds(20)

    /// What services are given of this command's environment: nothing that might be a secret.
    private static let variables = [
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "DOCKER_HOST",
        "DOCKER_CONFIG",
        "CREDENTIALS_DIRECTORY", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "NO_PROXY",
    ]

    /// An external mesh to join instead of one of this machine.
    struct Mesh: Sendable, Equatable {
        let registry: String
        let relay: String
        /// File with the authorities to trust as both; nil for the system's.
        var authorities: String?
    }

    private let home: KarsHome
    private let environment: [String: String]
    private let folder: String

    init(_ invocation: Invocation) throws {
        home = try KarsHome(invocation.environment)
        folder = home.folder(of: "services")
        var passed = invocation.environment.filter { Self.variables.contains($0.key) || $0.key.hasPrefix("KARS_") }
        passed["KARS_HOME"] = home.path
        environment = passed
    }

    /// Starts what is missing, so that a node answers at the home's socket.
    ///
    /// - Parameter progress: is told what is being started.
    func ensure(mesh: Mesh?, progress: (String) -> Void) throws {
        try AtomicFile.makeFolder(folder)
        try AtomicFile.makeFolder(home.folder(of: "logs"))
        let lock = try takeLock()
        defer { withExtendedLifetime(lock) {} }
        // Another command may have started it while this one waited for the lock.
        if isNodeRunning { return }
        let place = try mesh ?? ownMesh(progress)
        progress("starting the node")
        var arguments = ["node", "--relay", place.relay, "--registry", place.registry]
        if let file = place.authorities { arguments += ["--ca", file] }
        if environment["KARS_NODE_GATEWAY", default: ""].isEmpty { arguments += ["--gateway", freeGateway()] }
        try start(Self.node, arguments)
    }

    private var isNodeRunning: Bool { Self.isLocked("\(home.path)/\(NodeConfiguration.lockName)") }

    /// Whether a process holds a lock.
    private static func isLocked(_ path: String) -> Bool {
        guard access(path, F_OK) == 0 else { return false }
        do throws(StorageError) {
            _ = try FileLock(path: path)
            return false
        } catch {
            if case .locked = error { return true }
            return false
        }
    }

    private func ownMesh(_ progress: (String) -> Void) throws -> Mesh {
        let registry = try address(of: Self.registry, usualPort: 8080, [], progress)
        let relay = try address(
            of: Self.relay, usualPort: 8765, ["--registry", registry, "--require-registration"], progress)
        return Mesh(registry: registry, relay: relay + "/ws")
    }

    /// The address of a service of this home that runs, or that is started now.
    private func address(
        of role: String, usualPort: Int, _ arguments: [String], _ progress: (String) -> Void
    ) throws -> String {
        let known = ServiceRecord.read(role, in: folder)
        if let known, known.isAlive { return known.address }
        guard !Self.isLocked("\(home.folder(of: role))/\(role).lock") else {
            throw OperationFailure(
                .conflict, "a \(role) runs in \(home.path) that 'kars dev' did not start, and its address is not known",
                hint: "start the node by hand too, with 'kars node --\(role) <url>', or end that \(role)")
        }
        progress("starting the \(role)")
        if !environment["KARS_\(role.uppercased())_LISTEN", default: ""].isEmpty {
            return try start(role, [role] + arguments).address
        }
        // The port of the last time first: peers know this one's relay and registry by it.
        let wanted = known?.port ?? usualPort
        let port = LocalPort.isFree(wanted) ? wanted : 0
        return try start(role, [role, "--listen", "127.0.0.1:\(port)"] + arguments).address
    }

    @discardableResult
    private func start(_ role: String, _ arguments: [String]) throws -> ServiceRecord {
        let record = try BackgroundProcess.start(
            role, arguments, environment: environment, log: "\(home.folder(of: "logs"))/\(role).log")
        do {
            try record.write(in: folder)
        } catch {
            kill(record.pid, SIGTERM)
            throw error
        }
        return record
    }

    private func freeGateway() -> String {
        let port = Self.gatewayPorts.first(where: LocalPort.isFree)
        return "127.0.0.1:\(port ?? 0)"
    }

    private func takeLock() throws -> FileLock {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            do throws(StorageError) {
                return try FileLock(path: folder + "/lock")
            } catch {
                guard case .locked = error, ContinuousClock.now < deadline else { throw error }
                usleep(20_000)
            }
        }
    }

    // MARK: The end

    /// Ends what earlier commands started here, the node first.
    ///
    /// - Returns: the roles that ran.
    func stop() throws -> [String] {
        guard access(folder, F_OK) == 0 else { return [] }
        let lock = try takeLock()
        defer { withExtendedLifetime(lock) {} }
        var stopped: [String] = []
        for role in Self.roles {
            guard let record = ServiceRecord.read(role, in: folder) else { continue }
            if record.isAlive {
                end(record)
                stopped.append(role)
            }
            // Relay and registry keep theirs: the next start takes the same port.
            if role == Self.node { unlink(ServiceRecord.path(role, folder)) }
        }
        return stopped
    }

    /// The services that earlier commands started here and that run still.
    var running: [ServiceRecord] {
        Self.roles.compactMap { ServiceRecord.read($0, in: folder) }.filter(\.isAlive)
    }

    private func end(_ record: ServiceRecord) {
        kill(record.pid, SIGTERM)
        let deadline = ContinuousClock.now + Self.stopPatience
        while record.isAlive, ContinuousClock.now < deadline { usleep(5_000) }
        if record.isAlive { kill(record.pid, SIGKILL) }
        while record.isAlive, ContinuousClock.now < deadline + .seconds(5) { usleep(5_000) }
    }
}

/// Ports of this machine's loopback.
enum LocalPort {
    /// Whether nobody listens at a port of 127.0.0.1 right now.
    static func isFree(_ port: Int) -> Bool {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { return false }
        defer { close(probe) }
        var yes: Int32 = 1
        setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        return status == 0
    }
}
