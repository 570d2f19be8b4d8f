import Controller
import FoundationEssentials
import Glibc
import MeshNode
import Observability
import Sandboxes
import Storage
import Transport

/// What runs a node's sandboxes.
public enum DriverKind: String, Sendable, CaseIterable {
    /// Containers of a Docker engine on this machine.
    case docker
    /// Bubblewrap, without an engine.
    case embedded
    /// The container beside this node's in a pod; the controller of a cluster starts such nodes.
    case pod
    /// Pods of a cluster, each with a peer of its own; this node is their controller.
    case kubernetes
}

/// Picks the driver of a node: the one that was asked for, else the one that made the sandboxes that are there, else
/// Docker where an engine answers, else the embedded one.
struct DriverChoice {
    private static let fileName = ".driver"

    let wanted: DriverKind?
    /// For ``DriverKind/pod``.
    let pod: PodDriver.Place?
    /// The node's folder of sandboxes.
    let root: String
    let karsExecutable: String
    let environment: [String: String]
    let loop: EventLoop
    let logger: Logger

    func make() async throws -> any SandboxDriver {
        try AtomicFile.makeFolder(root)
        let former = try former()
        let kind: DriverKind
        if let wanted {
            if let former, former != wanted, try hasSandboxes() {
                throw OperationFailure(
                    .conflict, "the sandboxes of this node were made by the driver \(former.rawValue)",
                    hint: "start it with --driver \(former.rawValue), or destroy them first")
            }
            kind = wanted
        } else if let former {
            kind = former
        } else {
            kind = await detect()
        }
        let driver: any SandboxDriver
        switch kind {
        case .embedded:
            driver = try EmbeddedDriver(root: root, karsExecutable: karsExecutable, loop: loop, logger: logger)
        case .kubernetes: driver = ClusterDriver()
        case .pod:
            guard let pod else { throw OperationFailure(.invalid, "a pod's node needs to be told its sandbox") }
            driver = try PodDriver(root: root, place: pod, loop: loop, logger: logger)
        case .docker:
            driver = try DockerDriver(
                root: root, karsExecutable: karsExecutable, environment: environment, loop: loop, logger: logger)
        }
        try AtomicFile.write(Array("\(kind.rawValue)\n".utf8), to: "\(root)/\(Self.fileName)")
        logger.info("sandboxes are run by a driver", ["driver": kind.rawValue])
        return driver
    }

    private func detect() async -> DriverKind {
        guard let obstacle = await DockerDriver.obstacle(environment: environment, loop: loop) else { return .docker }
        logger.info("no container engine is used", ["reason": obstacle])
        return .embedded
    }

    /// The driver of an earlier start. Sandboxes without a note are of a version that had one driver.
    private func former() throws -> DriverKind? {
        if let bytes = try AtomicFile.read("\(root)/\(Self.fileName)", limit: 64) {
            let text = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
            guard let kind = DriverKind(rawValue: text) else {
                throw OperationFailure(
                    .failed, "\(root)/\(Self.fileName) names the driver \"\(text)\", which this version does not have")
            }
            return kind
        }
        return try hasSandboxes() ? .embedded : nil
    }

    /// A pod's folders are there before its sandbox is.
    private func hasSandboxes() throws -> Bool {
        try wanted != .pod && FileManager.default.contentsOfDirectory(atPath: root).contains { !$0.hasPrefix(".") }
    }
}
