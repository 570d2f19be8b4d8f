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

    private let paths: [PathBytes]
    private let places: [ChunkID: Place]
    /// Guards the open directories and file.
    private let hand: Mutex<Hand>

    /// - Parameters:
    ///   - root: the tree `state` was scanned from.
    ///   - state: the latest scan; a chunk only an earlier one knew may be gone from the tree.
    ///   - wanted: serves no other chunks than these; nil for all.
    public init(root: String, state: ScanState, wanted: Set<ChunkID>? = nil) throws(WorkspaceError) {
        var paths: [PathBytes] = []
        var places: [ChunkID: Place] = [:]
        for file in state.files.values {
            var offset: Int64 = 0
            for (id, length) in zip(file.chunks, file.lengths) {
                defer { offset += Int64(length) }
                if let wanted, !wanted.contains(id) { continue }
                places[id] = Place(file: Int32(paths.count), length: length, offset: offset)
            }
            paths.append(file.path)
        }
        self.paths = paths
        self.places = places
        hand = Mutex(Hand(cursor: TreeCursor(root: try Descriptor.folder(root))))
    }

    /// Whether the scan met this chunk.
    public func has(_ id: ChunkID) -> Bool { places[id] != nil }

    /// Bytes of a chunk the scan met.
    func length(of id: ChunkID) -> Int? { places[id].map { Int($0.length) } }

    /// Reads a chunk and hashes it again.
    ///
    /// - Throws: ``WorkspaceError/missingChunk(_:)`` when the scan did not meet it,
    ///   ``WorkspaceError/changedDuringRead(_:)`` when the file no longer holds it; never returns other bytes.
    public func readChunk(_ id: ChunkID) throws(WorkspaceError) -> [UInt8] {
        guard let place = places[id] else { throw .missingChunk(id) }
        let path = paths[Int(place.file)]
        let bytes: [UInt8]
        do {
            bytes = try Errno.narrowed(at: path.escaped) {
                try hand.withLock { hand in
                    let file = try Self.open(place.file, path, &hand)
                    return try file.bytes(at: place.offset, count: Int(place.length))
                }
            }
        } catch .file(_, let code) where Errno(code).isVanished {
            throw .changedDuringRead(path)
        }
        guard ChunkID(of: bytes) == id else {
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
