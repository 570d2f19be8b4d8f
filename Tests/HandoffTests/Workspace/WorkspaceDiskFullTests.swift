import Glibc
import Testing

@testable import Handoff

@Suite struct WorkspaceDiskFullTests {
    @Test func aWorkspaceThatDoesNotFitIsRefusedBeforeTheFirstWrite() throws {
        let tree = try TestTree()
        let store = try tree.store()
        let id = try store.put([UInt8](repeating: 1, count: 100_000))
        let manifest = Manifest(entries: [
            WorkspaceEntry(path: PathBytes("a"), kind: .file, mode: 0o600, size: 100_000, chunks: [id])
        ])
        let target = tree.folder("target")
        var limits = WorkspaceLimits()
        limits.reservedFreeBytes = 1_000_000
        for free in [0, 999_999, 1_099_999, 1_104_095] as [UInt64] {
            #expect(throws: WorkspaceError.diskFull(path: target, needed: 104_096, free: free)) {
                try WorkspaceRestorer(limits: limits, freeBytes: { _ in free }).restore(manifest, from: store, into: target)
            }
            #expect(try isEmpty(target))
        }
        try WorkspaceRestorer(limits: limits, freeBytes: { _ in 1_104_096 }).restore(manifest, from: store, into: target)
        try WorkspaceRestorer().verify(manifest.root, of: target)
    }

    /// On a real file system of 1 MiB, which only root can mount.
    @Test(.enabled(if: SmallDisk.isAvailable)) func aDiskThatFillsUpIsLeftEmpty() throws {
        let tree = try TestTree()
        var random = Seeded(5)
        let store = try tree.store()
        let ids = try (0..<20).map { _ in try store.put(random.bytes(Chunker.maximumSize)) }
        let manifest = Manifest(entries: [
            WorkspaceEntry(path: PathBytes("a"), kind: .directory, mode: 0o500),
            WorkspaceEntry(
                path: PathBytes("a/b"), kind: .file, mode: 0o400, size: UInt64(20 * Chunker.maximumSize), chunks: ids),
        ])
        let target = tree.folder("target")
        let disk = try SmallDisk(at: target)
        // Claims room that is not there: the disk may fill up between the check and the write.
        #expect {
            try WorkspaceRestorer(freeBytes: { _ in 1 << 40 }).restore(manifest, from: store, into: target)
        } throws: { error in
            if case .diskFull(target, _, _)? = error as? WorkspaceError { true } else { false }
        }
        #expect(try isEmpty(target))
        let chunks = tree.folder("target/chunks")
        let small = try ChunkStore(folder: chunks)
        var kept: [ChunkID] = []
        #expect {
            for _ in 0..<20 { kept.append(try small.put(random.bytes(Chunker.maximumSize))) }
        } throws: { error in
            if case .diskFull? = error as? WorkspaceError { true } else { false }
        }
        #expect(!kept.isEmpty)
        for id in kept { #expect(small.has(id)) }
        _ = consume disk
        #expect(try tree.hasOnly("target", "store"))
    }
}

/// A memory file system of 1 MiB, mounted while this lives.
final class SmallDisk {
    private typealias Mount = @convention(c) (
        UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafePointer<CChar>, CUnsignedLong, UnsafePointer<CChar>
    ) -> CInt
    private typealias Unmount = @convention(c) (UnsafePointer<CChar>, CInt) -> CInt

    private let path: String

    init(at path: String) throws {
        self.path = path
        guard Self.mount(path) else { throw Errno.last }
    }

    deinit { Self.unmount(path) }

    /// Whether this process may mount.
    static let isAvailable: Bool = {
        guard geteuid() == 0, let tree = try? TestTree() else { return false }
        let folder = tree.folder("probe")
        guard mount(folder) else { return false }
        unmount(folder)
        return true
    }()

    private static func mount(_ path: String) -> Bool {
        guard let address = dlsym(nil, "mount") else { return false }
        return unsafeBitCast(address, to: Mount.self)("none", path, "tmpfs", 0, "size=1m") == 0
    }

    private static func unmount(_ path: String) {
        guard let address = dlsym(nil, "umount2") else { return }
        let detach: CInt = 2
        _ = unsafeBitCast(address, to: Unmount.self)(path, detach)
    }
}
