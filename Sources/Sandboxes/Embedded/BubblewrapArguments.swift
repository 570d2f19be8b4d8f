/// The options that make bubblewrap 0.8 build a sandbox: pure, so that a test can read them.
struct BubblewrapArguments {
    /// Descriptors bubblewrap is started with. The agent gets none of them.
    enum Descriptor: Int32, CaseIterable {
        case agentLog = 3, rotatedAgentLog, talk, options, pid, status, filter
    }

    let spec: SandboxSpec
    let folders: SandboxFolders
    let host: HostLayout
    let karsExecutable: String
    /// The host's folder of the agent's credentials.
    let credentials: String

    /// What is passed through ``Descriptor/options``, not on the command line, where every user of the host
    /// could read the environment.
    var options: [String] {
        namespaces + environment + files + [
            "--json-status-fd", "\(Descriptor.status.rawValue)", "--info-fd", "\(Descriptor.pid.rawValue)",
        ]
    }

    /// Bubblewrap's own command line; the init inside starts the agent.
    func commandLine(bubblewrap: String, bounds: [SandboxInit.Bound]) -> [String] {
        [bubblewrap, "--args", "\(Descriptor.options.rawValue)", "--", SandboxLayout.kars]
            + SandboxInit.arguments(bounds: bounds, command: spec.command)
    }

    /// Everything of its own; `--die-with-parent` is left out on purpose, because sandboxes outlive a
    /// restart of the node.
    private var namespaces: [String] {
        [
            "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
            "--unshare-cgroup-try",
            // The agent makes no user namespace of its own: most kernel escapes begin with one.
            "--disable-userns",
            "--uid", "\(SandboxLayout.userID)", "--gid", "\(SandboxLayout.userID)",
            "--hostname", spec.name, "--new-session", "--as-pid-1", "--cap-drop", "ALL",
            "--seccomp", "\(Descriptor.filter.rawValue)",
        ]
    }

    private var environment: [String] {
        return ["--clearenv"]
            + SandboxLayout.environment(of: spec).sorted { $0.key < $1.key }.flatMap { ["--setenv", $0.key, $0.value] }
    }

    /// A root made from nothing: what is not named here, such as `/home` or `/root`, does not exist inside.
    private var files: [String] {
        var options = ["--ro-bind", "/usr", "/usr"]
        for (path, target) in host.links { options += ["--symlink", target, path] }
        for path in host.folders + host.settings + host.libraries { options += ["--ro-bind", path, path] }
        for name in SandboxLayout.settings(for: spec).keys.sorted() {
            options += ["--ro-bind", folders.etc + "/" + name, "/etc/" + name]
        }
        options += ["--ro-bind", karsExecutable, SandboxLayout.kars]
        // Bubblewrap 0.8 leaves `/proc/sys` writable for a caller that is root on the host, although it has
        // no capability: the kernel looks at the owner. Read-only for all of `/proc` closes that.
        options += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]
        if spec.limits.temporaryBytes > 0 { options += ["--size", "\(spec.limits.temporaryBytes)"] }
        options += ["--tmpfs", "/tmp"]
        options += ["--bind", folders.workspace, SandboxLayout.home, "--bind", folders.run, SandboxLayout.run]
        options += ["--ro-bind", credentials, SandboxLayout.credentials]
        return options + ["--chdir", SandboxLayout.home, "--remount-ro", "/"]
    }
}
