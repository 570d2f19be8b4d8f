import Dispatch
import Glibc
import Synchronization

/// Turns a directory tree into a manifest.
///
/// Blocks on the disk and uses up to four threads: not for a loop thread. Never follows a link, never leaves the root.
public struct WorkspaceScanner: Sendable {
    /// Whether the agent may still be writing.
    public enum Mode: Sendable {
        /// The agent runs: names may vanish and files may change; the manifest is a good guess, and what follows is a
        /// frozen scan.
        case live
        /// Nothing writes: the manifest is exact, or the scan fails.
        case frozen
    }

    private let root: String
    private let limits: WorkspaceLimits

    /// - Parameter root: path of the workspace; it must be a directory, not a link to one.
    public init(root: String, limits: WorkspaceLimits = WorkspaceLimits()) {
        self.root = root
        self.limits = limits
    }

    /// Reads the tree.
    ///
    /// Files that have not changed since `previous` are not read again: same device, inode, size, mode, modification and
    /// change time, and settled then (see ``ScannedFile/isSettled``). That holds on ext4, XFS, Btrfs and F2FS; elsewhere
    /// (tmpfs, overlays, network) time stamps miss writes through shared mappings or changes by others, so a frozen
    /// scan reads everything.
    ///
    /// - Parameter previous: what an earlier scan of the same root returned.
    /// - Throws: a special file, an escaping link, a limit exceeded, or a file that changed under a frozen scan.
    public func scan(
        previous: ScanState? = nil, mode: Mode
    ) throws(WorkspaceError) -> (manifest: Manifest, state: ScanState) {
        let (manifest, state) = try scanUnchecked(previous: previous, mode: mode)
        try manifest.validateEntries(limits)
        return (manifest, state)
    }

    /// As ``scan(previous:mode:)``, for a tree whose root will be compared with one of a valid manifest.
    func scanUnchecked(
        previous: ScanState?, mode: Mode
    ) throws(WorkspaceError) -> (manifest: Manifest, state: ScanState) {
        let folder = try Descriptor.folder(root)
        var walk = TreeWalk(mode: mode, limits: limits)
        try walk.visit(folder, path: [], depth: 1)
        try checkSizes(walk.files)
        let device = try Errno.narrowed(at: root) { UInt64(try folder.status().st_dev) }
        let trustsTimes = mode == .live || Self.stampsAreComplete(folder)
        let state = try hash(
            walk.files, in: folder, onDevice: device, known: trustsTimes ? previous : nil, mode: mode)
        return (Manifest(entries: entries(of: walk, state)), state)
    }

    /// Refuses what is too large before a byte of it is read: an agent can name terabytes of holes in a moment.
    private func checkSizes(_ files: [TreeWalk.File]) throws(WorkspaceError) {
        var seen: Set<FileKey> = []
        var total: UInt64 = 0
        // A file with several names counts once.
        for file in files where !file.hasOtherNames || seen.insert(file.key).inserted {
            let size = UInt64(max(0, file.fingerprint.size))
            guard size <= limits.maximumFileBytes else {
                throw .tooLarge(what: "bytes in one file", limit: limits.maximumFileBytes)
            }
            let (sum, overflows) = total.addingReportingOverflow(size)
            guard !overflows, sum <= limits.maximumTotalBytes else {
                throw .tooLarge(what: "bytes", limit: limits.maximumTotalBytes)
            }
            total = sum
        }
    }

    /// Hashes what is not known, spread over threads by turns.
    private func hash(
        _ files: [TreeWalk.File], in folder: Descriptor, onDevice device: UInt64, known: ScanState?, mode: Mode
    ) throws(WorkspaceError) -> ScanState {
        var state = ScanState()
        state.files.reserveCapacity(files.count)
        var seen: Set<FileKey> = []
        var open: [TreeWalk.File] = []
        for file in files where seen.insert(file.key).inserted {
            if let old = known?.files[file.key], old.isSettled, old.fingerprint == file.fingerprint,
                file.key.device == device
            {
                var old = old
                old.path = file.path
                state.files[file.key] = old
            } else {
                open.append(file)
            }
        }
        let work = open
        let next = Atomic<Int>(0)
        let results = Mutex<(found: [(FileKey, ScannedFile)], failure: (index: Int, error: WorkspaceError)?)>(([], nil))
        let limits = limits
        DispatchQueue.concurrentPerform(iterations: min(Self.threads, max(work.count, 1))) { _ in
            var hasher = FileHasher(root: folder, mode: mode, limits: limits)
            var found: [(FileKey, ScannedFile)] = []
            var failure: (index: Int, error: WorkspaceError)?
            while failure == nil {
                let index = next.add(1, ordering: .relaxed).oldValue
                guard index < work.count else { break }
                let file = work[index]
                do throws(WorkspaceError) {
                    if let content = try hasher.hash(file.path, file.key) { found.append((file.key, content)) }
                } catch {
                    failure = (index, error)
                    next.store(work.count, ordering: .relaxed)  // the others stop after the file at hand
                }
            }
            let batch = found
            let problem = failure
            results.withLock { results in
                results.found += batch
                if let problem, problem.index < results.failure?.index ?? .max { results.failure = problem }
            }
        }
        let (found, failure) = results.withLock { ($0.found, $0.failure) }
        if let failure { throw failure.error }
        for (key, file) in found {
            state.files[key] = file
            state.hashedBytes += file.size
        }
        return state
    }

    /// The entries in path order; of several names of one file, the first is the file and the others link to it.
    private func entries(of walk: TreeWalk, _ state: ScanState) -> [WorkspaceEntry] {
        var entries = walk.others
        var firstNames: [FileKey: PathBytes] = [:]
        for file in walk.files.sorted(by: { $0.path < $1.path }) {
            guard let content = state.files[file.key] else { continue }  // vanished from a live tree
            if let first = firstNames[file.key] {
                entries.append(WorkspaceEntry(path: file.path, kind: .hardlink, target: first))
                continue
            }
            if file.hasOtherNames { firstNames[file.key] = file.path }
            entries.append(
                WorkspaceEntry(
                    path: file.path, kind: .file,
                    mode: content.fingerprint.mode & WorkspaceEntry.movedModeBits,
                    modified: content.fingerprint.modified, size: content.size, chunks: content.chunks,
                    attributes: content.attributes))
        }
        return entries
    }

    private static let threads = min(4, max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))

    /// Whether every change on this file system moves a change time, writes through mappings included.
    static func stampsAreComplete(_ folder: Descriptor) -> Bool {
        // struct statfs begins with f_type, a machine word; the whole is below 256 bytes.
        var buffer = [UInt](repeating: 0, count: 32)
        guard buffer.withUnsafeMutableBytes({ LinuxCalls.fstatfs(folder.raw, $0.baseAddress!) }) == 0 else { return false }
        let ext4: UInt = 0xef53
        let xfs: UInt = 0x5846_5342
        let btrfs: UInt = 0x9123_683e
        let f2fs: UInt = 0xf2f5_2010
        return [ext4, xfs, btrfs, f2fs].contains(buffer[0])
    }
}
