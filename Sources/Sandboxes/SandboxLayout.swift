/// Paths as an agent sees them.
public enum SandboxLayout {
    /// The only place that survives: the sandbox's workspace, and the agent's home.
    public static let home = "/sandbox"
    public static let kars = "/opt/kars/bin/kars"
    /// The command of the reference agent.
    public static let referenceAgent = [kars, "agent"]
    /// Where the agent's gateway listens (runtime contract v1).
    public static let gateway = "127.0.0.1:18789"

    /// Runtime contract v1, standby: the number of a descriptor on which an agent that knows it reads one byte
    /// before it opens its workspace.
    static let standbyVariable = "KARS_STANDBY_FD"

    /// The folder of the agent's credentials: files named like variables, readable by the agent alone.
    public static let credentials = "/run/secrets"

    /// The folders of an offload below ``home``: what came with the task, and where the agent leaves what goes back.
    public static let incomingName = "incoming"
    public static let outgoingName = "outgoing"

    static let run = "/run/kars"
    /// Where the init of a container meets its node.
    static let control = run + "/" + controlName
    static let controlName = "control.sock"
    static let socketName = "gateway.sock"
    /// Where the init takes commands.
    static let commandsName = "commands.sock"
    static let user = "sandbox"
    static let userID = 1000
    static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

extension SandboxLayout {
    /// The variables an agent is started with (runtime contract v1).
    static func environment(of spec: SandboxSpec) -> [String: String] {
        let variables = [
            "HOME": home, "USER": user, "PATH": path, "LANG": "C.UTF-8", "TMPDIR": "/tmp",
            "SANDBOX_NAME": spec.name, "KARS_AGENT_NAME": spec.name, "KARS_RUNTIME_KIND": spec.runtimeKind,
            "KARS_RUNTIME_CONTRACT_VERSION": "v1", "KARS_MESH_PROVIDER": "agt", "KARS_CREDENTIALS": credentials,
        ]
        return variables.merging(spec.environment) { $1 }
    }

    /// The files made for a sandbox's `/etc`.
    ///
    /// - Parameter owner: who the agent is inside.
    static func settings(for spec: SandboxSpec, owner: SandboxOwner = agent) -> [String: String] {
        [
            "passwd": "\(user):x:\(owner.user):\(owner.group):\(user):\(home):/bin/sh\n"
                + "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
            "group": "\(user):x:\(owner.group):\nnogroup:x:65534:\n",
            "hosts": "127.0.0.1 localhost\n127.0.1.1 \(spec.name)\n::1 localhost\n",
            "hostname": "\(spec.name)\n",
            "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        ]
    }

    static let agent = SandboxOwner(user: UInt32(userID), group: UInt32(userID))
}

/// Paths of one sandbox on the host. Nothing but `workspace` and `run` is visible inside.
public struct SandboxFolders: Sendable, Equatable {
    public let root: String
    /// Mounted at `/sandbox`. The agent controls what is in it: never follow its symbolic links.
    public var workspace: String { root + "/workspace" }
    /// Mounted at `/run/kars`; as little to be trusted as the workspace.
    var run: String { root + "/run" }
    var socket: String { run + "/" + SandboxLayout.socketName }
    public var logs: String { root + "/logs" }
    var agentLog: String { logs + "/agent.log" }
    var rotatedAgentLog: String { logs + "/agent.log.1" }
    var initLog: String { logs + "/sandbox.log" }
    /// What is left of the engine's container after a restart of the node.
    var container: String { root + "/container.json" }
    /// Where the sandbox's init takes commands (``SandboxCommand``).
    public var commands: String { run + "/" + SandboxLayout.commandsName }
    var control: String { run + "/" + SandboxLayout.controlName }
    var etc: String { root + "/etc" }
    var spec: String { root + "/sandbox.json" }
    var record: String { root + "/run.json" }
    var status: String { root + "/status.json" }
    var arguments: String { root + "/arguments" }

    init(root: String, name: String) { self.root = root + "/" + name }
}
