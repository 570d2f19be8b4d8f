import FoundationEssentials
import Glibc
import MeshNode
import Storage

/// The tunnels of `kars mesh promote --port-forward`: processes of their own that lead to a cluster's registry and relay,
/// noted in `port-forward-pids.json` of the home folder (behaviours §1).
///
/// Only processes that were started here are ended, known by their number and the time of their start.
struct MeshTunnels {
    /// One of the two.
    enum Part: String, CaseIterable, Codable {
        case registry, relay

        var service: String { "agentmesh-\(rawValue)" }
        var port: Int { self == .registry ? 8080 : 8765 }
        /// Its name in the file.
        var title: String { self == .registry ? "Registry" : "Relay" }
    }

    /// The file: the numbers by name, as other programs know it, and what else is needed to be sure of them.
    private struct Records: Codable {
        var Registry: Int32?
        var Relay: Int32?
        var tunnels: [String: ServiceRecord]?
        /// Of the kubeconfig; nil for the one that was present then.
        var context: String?
        var namespace: String?
    }

    private static let stopPatience = Duration.seconds(10)

    private let home: KarsHome
    private let environment: [String: String]
    private var path: String { home.path + "/port-forward-pids.json" }

    init(_ home: KarsHome, environment: [String: String]) {
        self.home = home
        var passed = environment
        passed["KARS_HOME"] = home.path
        self.environment = passed
    }

    /// Starts what is missing, dead or leads elsewhere, and leaves what works alone.
    ///
    /// - Returns: the addresses.
    func open(
        ports: [Part: Int], namespace: String, context: String?, progress: (String) -> Void
    ) throws -> [Part: String] {
        try AtomicFile.makeFolder(home.folder(of: "services"))
        try AtomicFile.makeFolder(home.folder(of: "logs"))
        let lock = try takeLock()
        defer { withExtendedLifetime(lock) {} }
        var records = try read()
        if records.context != context || records.namespace != namespace {
            for part in Part.allCases { if let known = records.tunnels?[part.title] { end(part, known) } }
            records = Records(context: context, namespace: namespace)
        }
        var addresses: [Part: String] = [:]
        for part in Part.allCases {
            let port = ports[part] ?? 0
            if let known = records.tunnels?[part.title] {
                if known.isAlive, known.port == port, LoopbackHealth.answers(port: port) {
                    addresses[part] = known.address
                    continue
                }
                end(part, known)
                records.tunnels?[part.title] = nil
            }
            guard LocalPort.isFree(port) else {
                throw OperationFailure(
                    .conflict, "port \(port) of this machine is taken by another program",
                    hint: "give another --\(part.rawValue)-port")
            }
            progress("opening a tunnel to the \(part.rawValue)")
            var arguments = [
                "mesh", "tunnel", "--namespace", namespace, "--service", part.service, "--target", String(part.port),
                "--port", String(port), "--record", kubectlRecord(part),
            ]
            if let context { arguments += ["--context", context] }
            let record: ServiceRecord
            do {
                record = try BackgroundProcess.start(
                    "tunnel to the \(part.rawValue)", arguments, environment: environment,
                    log: "\(home.folder(of: "logs"))/pf-\(part.rawValue).log")
            } catch {
                endKubectl(of: part)
                throw error
            }
            addresses[part] = record.address
            records.tunnels = (records.tunnels ?? [:]).merging([part.title: record]) { $1 }
            do { try write(records) } catch {
                end(part, record)
                throw error
            }
        }
        return addresses
    }

    /// Ends those that were started here.
    ///
    /// - Returns: the parts whose tunnels ran.
    func close() throws -> [Part] {
        guard access(path, F_OK) == 0 else { return [] }
        try AtomicFile.makeFolder(home.folder(of: "services"))
        let lock = try takeLock()
        defer { withExtendedLifetime(lock) {} }
        let records = try read()
        var closed: [Part] = []
        for part in Part.allCases {
            guard let record = records.tunnels?[part.title] else { continue }
            if record.isAlive { closed.append(part) }
            end(part, record)
        }
        unlink(path)
        return closed
    }

    /// Opens the tunnels of this home anew where they lead nowhere any more, as after the machine was started again.
    func reopen(progress: (String) -> Void) throws {
        let records = try read()
        var ports: [Part: Int] = [:]
        for part in Part.allCases { ports[part] = records.tunnels?[part.title]?.port }
        guard ports.count == Part.allCases.count, let namespace = records.namespace else { return }
        _ = try open(ports: ports, namespace: namespace, context: records.context, progress: progress)
    }

    private func end(_ part: Part, _ record: ServiceRecord) {
        Self.end(record)
        endKubectl(of: part)
    }

    /// What a tunnel that was killed left behind.
    private func endKubectl(of part: Part) {
        if let kubectl = ServiceRecord.read(at: kubectlRecord(part)) { Self.end(kubectl) }
        unlink(kubectlRecord(part))
    }

    private static func end(_ record: ServiceRecord) {
        guard record.isAlive else { return }
        kill(record.pid, SIGTERM)
        let deadline = ContinuousClock.now + stopPatience
        while record.isAlive, ContinuousClock.now < deadline { usleep(5_000) }
        if record.isAlive { kill(record.pid, SIGKILL) }
        while record.isAlive, ContinuousClock.now < deadline + .seconds(5) { usleep(5_000) }
    }

    private func kubectlRecord(_ part: Part) -> String { "\(home.folder(of: "services"))/pf-\(part.rawValue).json" }

    private func takeLock() throws -> FileLock {
        let lock = "\(home.folder(of: "services"))/tunnels.lock"
        do throws(StorageError) { return try FileLock(path: lock) } catch {
            guard case .locked = error else { throw error }
            throw OperationFailure(.conflict, "another kars opens or closes the tunnels of \(home.path) right now")
        }
    }

    private func read() throws -> Records {
        guard let bytes = try AtomicFile.read(path, limit: 64 << 10) else { return Records() }
        // A file of the public kars has numbers alone, which may be anybody's by now.
        return (try? JSONDecoder().decode(Records.self, from: Data(bytes))) ?? Records()
    }

    private func write(_ records: Records) throws {
        var written = records
        written.Registry = records.tunnels?[Part.registry.title]?.pid
        written.Relay = records.tunnels?[Part.relay.title]?.pid
        try AtomicFile.write(Array((OutputFormat.json(written) + "\n").utf8), to: path)
    }
}
