import Glibc
import Synchronization

/// Serves the chunks of a scanned tree from the files themselves, so that a source needs no copy of its workspace.
///
/// Blocks on the disk: not for a loop thread. Safe to share between threads; readers take turns.
public final class ChunkReader: Sendable {
    private struct Place {
        var file: Int32
        var length: UInt32
        var offset: Int64
    }

    private struct Hand {
        var cursor: TreeCursor
        var open: (file: Int32, descriptor: Descriptor)?
    }

    private struct File {
        var path: PathBytes
        var key: FileKey
        /// What it looked like when it was scanned, where any later change is bound to show.
        var settled: FileFingerprint?
    }

    private let files: [File]
    private let places: [ChunkID: Place]
    /// Guards the open directories and file.
    private let hand: Mutex<Hand>

    /// - Parameters:
    ///   - root: the tree `state` was scanned from.
    ///   - state: the latest scan; a chunk only an earlier one knew may be gone from the tree.
    ///   - wanted: serves no other chunks than these; nil for all.
    public init(root: String, state: ScanState, wanted: Set<ChunkID>? = nil) throws(WorkspaceError) {
        let folder = try Descriptor.folder(root)
        let trustsTimes = WorkspaceScanner.stampsAreComplete(folder)
        var files: [File] = []
        var places: [ChunkID: Place] = [:]
        for (key, file) in state.files {
            var offset: Int64 = 0
            for (id, length) in zip(file.chunks, file.lengths) {
                defer { offset += Int64(length) }
                if let wanted, !wanted.contains(id) { continue }
                places[id] = Place(file: Int32(files.count), length: length, offset: offset)
            }
            files.append(
                File(path: file.path, key: key, settled: trustsTimes && file.isSettled ? file.fingerprint : nil))
        }
        self.files = files
        self.places = places
        hand = Mutex(Hand(cursor: TreeCursor(root: folder)))
    }

    /// Whether the scan met this chunk.
    public func has(_ id: ChunkID) -> Bool { places[id] != nil }

    /// Bytes of a chunk the scan met.
    func length(of id: ChunkID) -> Int? { places[id].map { Int($0.length) } }

    /// Reads a chunk, and hashes it again unless its file is surely as it was scanned.
    ///
    /// - Throws: ``WorkspaceError/missingChunk(_:)`` when the scan did not meet it,
    ///   ``WorkspaceError/changedDuringRead(_:)`` when the file no longer holds it; never returns other bytes.
    public func readChunk(_ id: ChunkID) throws(WorkspaceError) -> [UInt8] {
        guard let place = places[id] else { throw .missingChunk(id) }
        let known = files[Int(place.file)]
        let path = known.path
        let bytes: [UInt8]
        var isAsScanned = false
        do {
            bytes = try Errno.narrowed(at: path.escaped) {
                try hand.withLock { hand in
                    let file = try Self.open(place.file, path, &hand)
                    let bytes = try file.bytes(at: place.offset, count: Int(place.length))
                    if let settled = known.settled {
                        // After the reading: what was written before it shows now.
                        let status = try file.status()
                        isAsScanned = FileKey(status) == known.key && FileFingerprint(status) == settled
                    }
                    return bytes
                }
            }
        } catch .file(_, let code) where Errno(code).isVanished {
            throw .changedDuringRead(path)
        }
        guard isAsScanned && bytes.count == Int(place.length) || ChunkID(of: bytes) == id else {
            // The name may have been given to another file since (an editor saves by renaming): look again next time.
            hand.withLock { $0.open = nil }
            throw .changedDuringRead(path)
        }
        return bytes
    }

    private static func open(_ file: Int32, _ path: PathBytes, _ hand: inout Hand) throws(Errno) -> Descriptor {
        if let open = hand.open, open.file == file { return open.descriptor }
        let descriptor = try hand.cursor.parent(of: path).open(path.name, O_RDONLY | O_NONBLOCK)
        guard try descriptor.status().st_mode & S_IFMT == S_IFREG else { throw Errno(ENOENT) }
        hand.open = (file, descriptor)
        return descriptor
    }
}
