import Glibc
import Storage

/// The control groups of one sandbox, below the group this process itself is in, so that whatever bounds
/// the node bounds its sandboxes too. Version 1, version 2 or a mixture, as the host has it.
struct ControlGroups: Codable, Sendable, Equatable {
    /// Folder by controller; `freezer` stands for version 2's `cgroup.freeze` too.
    private(set) var folders: [String: String] = [:]
    private(set) var usesUnified: Set<String> = []

    /// Makes the groups a host allows; what it does not allow is left out.
    static func make(name: String, limits: SandboxSpec.Limits) -> ControlGroups {
        var groups = ControlGroups()
        let mounts = Hierarchy.mounted()
        for controller in ["freezer", "memory", "pids", "cpu"] {
            guard let hierarchy = mounts.first(where: { $0.controllers.contains(controller) }) else { continue }
            groups.add(controller, hierarchy.folder + "/" + name, unified: false)
        }
        if let unified = mounts.first(where: { $0.controllers.isEmpty }) {
            let folder = unified.folder + "/" + name
            if groups.makeFolder(folder) {
                let available = ControlGroups.read(folder + "/cgroup.controllers").split(separator: " ")
                for controller in ["memory", "pids", "cpu"]
                where groups.folders[controller] == nil && available.contains(Substring(controller)) {
                    groups.add(controller, folder, unified: true)
                }
                if groups.folders["freezer"] == nil, access(folder + "/cgroup.freeze", W_OK) == 0 {
                    groups.add("freezer", folder, unified: true)
                }
                if !groups.folders.values.contains(folder) { rmdir(folder) }
            }
        }
        groups.keep(limits)
        return groups
    }

    /// Controllers that bound the sandbox.
    var enforced: [String] { folders.keys.filter { $0 != "freezer" }.sorted() }
    var canFreeze: Bool { folders["freezer"] != nil }

    /// Moves a process, with the threads it has, into every group.
    func add(_ pid: pid_t) throws(SandboxError) {
        for folder in Set(folders.values) {
            guard Self.write("\(pid)", folder + "/cgroup.procs") else { throw .lastFailure(folder) }
        }
    }

    /// Asks for the change; ``isFrozen`` tells when it is complete.
    func setFrozen(_ frozen: Bool) throws(SandboxError) {
        guard let folder = folders["freezer"] else { preconditionFailure("there is no freezer") }
        let isWritten =
            usesUnified.contains("freezer")
            ? Self.write(frozen ? "1" : "0", folder + "/cgroup.freeze")
            : Self.write(frozen ? "FROZEN" : "THAWED", folder + "/freezer.state")
        guard isWritten else { throw .lastFailure(folder) }
    }

    /// Every process of the sandbox stands still.
    var isFrozen: Bool {
        guard let folder = folders["freezer"] else { return false }
        return usesUnified.contains("freezer")
            ? Self.read(folder + "/cgroup.events").split(separator: "\n").contains("frozen 1")
            : Self.read(folder + "/freezer.state").trimmedLine == "FROZEN"
    }

    /// Removes the groups, which must be empty; false when the kernel still counts a process in one.
    func remove() -> Bool {
        Set(folders.values).allSatisfy { rmdir($0) == 0 || errno == ENOENT }
    }

    // MARK: - Making

    private func makeFolder(_ folder: String) -> Bool { mkdir(folder, 0o755) == 0 || errno == EEXIST }

    private mutating func add(_ controller: String, _ folder: String, unified: Bool) {
        guard makeFolder(folder) else { return }
        guard access(folder + "/cgroup.procs", W_OK) == 0 else { return }
        folders[controller] = folder
        if unified { usesUnified.insert(controller) }
    }

    /// Sets the limits; a controller without one, or that refuses it, is dropped.
    private mutating func keep(_ limits: SandboxSpec.Limits) {
        set("memory", limits.memoryBytes, old: "memory.limit_in_bytes", new: "memory.max", "\(limits.memoryBytes)")
        set("pids", limits.pids, old: "pids.max", new: "pids.max", "\(limits.pids)")
        let period = 100_000
        let quota = limits.cpuPercent * period / 100
        let value = usesUnified.contains("cpu") ? "\(quota) \(period)" : "\(quota)"
        set("cpu", limits.cpuPercent, old: "cpu.cfs_quota_us", new: "cpu.max", value)
    }

    private mutating func set(_ controller: String, _ limit: Int, old: String, new: String, _ value: String) {
        guard let folder = folders[controller] else { return }
        let file = folder + "/" + (usesUnified.contains(controller) ? new : old)
        guard limit == 0 || !Self.write(value, file) else { return }
        folders[controller] = nil
        usesUnified.remove(controller)
        if !folders.values.contains(folder) { rmdir(folder) }
    }

    private static func write(_ text: String, _ path: String) -> Bool {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return Array(text.utf8).withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) == $0.count }
    }

    private static func read(_ path: String) -> String {
        String(decoding: ((try? AtomicFile.read(path, limit: 65_536)) ?? nil) ?? [], as: UTF8.self)
    }
}

extension ControlGroups {
    /// One mounted cgroup file system, and this process's group in it.
    struct Hierarchy: Equatable {
        /// Empty for version 2.
        let controllers: [String]
        let folder: String

        static func mounted() -> [Hierarchy] {
            parse(mounts: ControlGroups.read("/proc/self/mounts"), groups: ControlGroups.read("/proc/self/cgroup"))
        }

        /// - Parameters:
        ///   - mounts: lines of `/proc/self/mounts`: device, folder, type, options.
        ///   - groups: lines of `/proc/self/cgroup`: number, controllers, path.
        static func parse(mounts: String, groups: String) -> [Hierarchy] {
            var paths: [Substring: Substring] = [:]
            for line in groups.split(separator: "\n") {
                let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
                if parts.count == 3 { paths[parts[1]] = parts[2] }
            }
            return mounts.split(separator: "\n").compactMap { line in
                let fields = line.split(separator: " ")
                guard fields.count > 3 else { return nil }
                switch fields[2] {
                case "cgroup2":
                    return paths[""].map { Hierarchy(controllers: [], folder: join(fields[1], $0)) }
                case "cgroup":
                    let options = fields[3].split(separator: ",")
                    let found = paths.first { path in
                        !path.key.isEmpty && path.key.split(separator: ",").allSatisfy { options.contains($0) }
                    }
                    guard let (controllers, path) = found else { return nil }
                    return Hierarchy(
                        controllers: controllers.split(separator: ",").map(String.init),
                        folder: join(fields[1], path))
                default: return nil
                }
            }
        }

        private static func join(_ mount: Substring, _ path: Substring) -> String {
            path == "/" ? String(mount) : String(mount) + String(path)
        }
    }
}
