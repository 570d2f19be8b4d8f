/// What the engine is asked to make of a sandbox: pure, so that a test can read it. Names are those of the API.
struct DockerContainer: Encodable {
    struct Mount: Encodable, Equatable {
        var Kind = "bind"
        let Source: String
        let Target: String
        let ReadOnly: Bool

        private enum CodingKeys: String, CodingKey {
            case Source, Target, ReadOnly
            case Kind = "Type"
        }
    }

    struct Ulimit: Encodable {
        let Name: String
        let Soft: Int
        let Hard: Int
    }

    struct LogConfiguration: Encodable {
        /// For what the init says before it has the sandbox's own logs.
        var Kind = "json-file"
        var Config = ["max-size": "1m", "max-file": "1"]

        private enum CodingKeys: String, CodingKey {
            case Config
            case Kind = "Type"
        }
    }

    struct Host: Encodable {
        var NetworkMode = "none"
        var IpcMode = "private"
        var ReadonlyRootfs = true
        var Privileged = false
        var CapDrop = ["ALL"]
        var SecurityOpt = ["no-new-privileges"]
        var PidsLimit: Int?
        var Memory: Int?
        /// As much as memory: nothing is swapped.
        var MemorySwap: Int?
        var NanoCpus: Int?
        var Tmpfs: [String: String] = [:]
        var Mounts: [Mount] = []
        var Ulimits: [Ulimit] = []
        var LogConfig = LogConfiguration()
        var RestartPolicy = ["Name": "no"]
    }

    /// Labels by which a node finds its containers again.
    static let nodeLabel = "org.kars.node"
    static let sandboxLabel = "org.kars.sandbox"

    var Hostname: String
    var Image: String
    var User: String
    var Env: [String]
    var Entrypoint: [String]
    var Cmd: [String]
    var WorkingDir: String
    var NetworkDisabled = true
    var Labels: [String: String]
    var HostConfig: Host

    /// - Parameters:
    ///   - image: its name and what it says of itself, where the spec has one.
    ///   - facts: a limit that the engine does not know is left out, as it would refuse it or say nothing.
    init(
        spec: SandboxSpec, folders: SandboxFolders, credentials: String, runtime: DockerRuntime,
        image: (name: String, facts: DockerEngine.Image?),
        owner: SandboxOwner, node: String, facts: DockerEngine.Facts
    ) {
        Hostname = spec.name
        Image = image.name
        User = "\(owner.user):\(owner.group)"
        var variables = SandboxLayout.environment(of: spec)
        let known = Set((image.facts?.Config?.Env ?? []).map { String($0.prefix { $0 != "=" }) })
        // Programs of an image are where the image says.
        for name in ["PATH", "LANG"] where known.contains(name) && spec.environment[name] == nil { variables[name] = nil }
        Env = variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let folder = image.facts?.Config?.WorkingDir ?? ""
        WorkingDir = folder.isEmpty ? SandboxLayout.home : folder
        Entrypoint = DockerRuntime.program
        Cmd = SandboxInit.arguments(meeting: SandboxLayout.control, bounds: [],
            command: spec.command.isEmpty ? image.facts?.command ?? [] : spec.command)
        Labels = [Self.nodeLabel: node, Self.sandboxLabel: spec.name]
        var host = Host()
        let limits = spec.limits
        if limits.pids > 0, facts.pidsLimit == true { host.PidsLimit = limits.pids }
        if limits.memoryBytes > 0, facts.memoryLimit == true {
            host.Memory = limits.memoryBytes
            host.MemorySwap = limits.memoryBytes
        }
        if limits.cpuPercent > 0, facts.cpuQuota == true { host.NanoCpus = limits.cpuPercent * 10_000_000 }
        host.Ulimits = [Ulimit(Name: "core", Soft: 0, Hard: 0)]
        if limits.openFiles > 0 {
            host.Ulimits.append(Ulimit(Name: "nofile", Soft: limits.openFiles, Hard: limits.openFiles))
        }
        if limits.memoryBytes > 0, facts.memoryLimit != true {
            host.Ulimits.append(Ulimit(Name: "as", Soft: limits.memoryBytes, Hard: limits.memoryBytes))
        }
        let size = limits.temporaryBytes > 0 ? ",size=\(limits.temporaryBytes)" : ""
        host.Tmpfs = ["/tmp": "rw,noexec,nosuid,nodev,mode=1777\(size)"]
        host.Mounts = [
            Mount(Source: runtime.folder, Target: DockerRuntime.place, ReadOnly: true),
            Mount(Source: folders.workspace, Target: SandboxLayout.home, ReadOnly: false),
            Mount(Source: folders.run, Target: SandboxLayout.run, ReadOnly: false),
            Mount(Source: credentials, Target: SandboxLayout.credentials, ReadOnly: true),
        ]
        // The engine makes the host's own of two of these; an image has the others.
        for name in SandboxLayout.settings(for: spec, owner: owner).keys.sorted()
        where spec.image == nil && !["hosts", "hostname"].contains(name) {
            host.Mounts.append(Mount(Source: "\(folders.etc)/\(name)", Target: "/etc/\(name)", ReadOnly: true))
        }
        HostConfig = host
    }
}
