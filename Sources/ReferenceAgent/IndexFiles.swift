import Glibc
import Storage

/// The part of the index that lies in the workspace, beside the journal: one record a turn, one entry a request id, and
/// a checkpoint that says how much of both counts.
///
/// Nothing here is synchronized, because nothing here is needed: what a crash left torn does not fit its checksums, and
/// the index is then made anew from the journal. Files only grow, so that a move sends their last bytes.
final class IndexFiles {
    static let folderName = "conversation.index"
    /// The hash of a request id and the record of its turn.
    struct Entry: Equatable {
        static let byteCount = 16
        let hash: UInt64
        let record: UInt32
    }

    private let folder: String
    private let turns: Int32
    private let ids: Int32
    let salt: UInt64

    private init(folder: String, turns: Int32, ids: Int32, salt: UInt64) {
        self.folder = folder
        self.turns = turns
        self.ids = ids
        self.salt = salt
    }

    deinit {
        close(turns)
        close(ids)
    }

    /// The files as they are, with their checkpoint; nil when there are none that fit.
    static func open(in workspace: String) -> (files: IndexFiles, checkpoint: IndexCheckpoint)? {
        let folder = workspace + "/" + folderName
        guard let bytes = (try? AtomicFile.read(folder + "/checkpoint", limit: IndexCheckpoint.maximumBytes)) ?? nil,
            let checkpoint = IndexCheckpoint(bytes),
            let files = IndexFiles(folder, salt: checkpoint.salt, flags: 0),
            files.size(files.turns) >= UInt64(checkpoint.turns) * UInt64(TurnRecord.byteCount),
            files.size(files.ids) >= checkpoint.ids * UInt64(Entry.byteCount)
        else { return nil }
        return (files, checkpoint)
    }

    /// Empty files in the place of what there is; nil when the disk takes none.
    static func make(in workspace: String) -> IndexFiles? {
        let folder = workspace + "/" + folderName
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { return nil }
        // First, so that no old checkpoint speaks of new files.
        guard unlink(folder + "/checkpoint") == 0 || errno == ENOENT else { return nil }
        return IndexFiles(folder, salt: .random(in: .min ... .max), flags: O_CREAT | O_TRUNC)
    }

    private convenience init?(_ folder: String, salt: UInt64, flags: Int32) {
        let turns = Glibc.open(folder + "/turns", O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0o600)
        guard turns >= 0 else { return nil }
        let ids = Glibc.open(folder + "/ids", O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0o600)
        guard ids >= 0 else {
            close(turns)
            return nil
        }
        self.init(folder: folder, turns: turns, ids: ids, salt: salt)
    }

    private func size(_ file: Int32) -> UInt64 {
        var status = stat()
        return fstat(file, &status) == 0 ? UInt64(max(0, status.st_size)) : 0
    }

    /// - Returns: nil for a record that does not fit its checksum.
    func record(_ number: UInt32) -> TurnRecord? {
        guard let bytes = read(turns, at: UInt64(number) * UInt64(TurnRecord.byteCount), count: TurnRecord.byteCount)
        else { return nil }
        return TurnRecord(bytes[...], number: number, salt: salt)
    }

    /// - Returns: true when all of it is in the file.
    func append(_ records: [TurnRecord], from number: UInt32) -> Bool {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(records.count * TurnRecord.byteCount)
        for (index, record) in records.enumerated() {
            bytes += record.encoded(number: number + UInt32(index), salt: salt)
        }
        return write(bytes, to: turns, at: UInt64(number) * UInt64(TurnRecord.byteCount))
    }

    /// - Returns: true when all of it is in the file.
    func append(_ entries: [Entry], from number: UInt64) -> Bool {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(entries.count * Entry.byteCount)
        for entry in entries {
            bytes.append(integer: entry.hash)
            bytes.append(integer: UInt64(entry.record))
        }
        return write(bytes, to: ids, at: number * UInt64(Entry.byteCount))
    }

    /// The bytes of the `count` entries before `end`.
    func idBytes(before end: UInt64, count: UInt32) -> [UInt8]? {
        read(ids, at: (end - UInt64(count)) * UInt64(Entry.byteCount), count: Int(count) * Entry.byteCount)
    }

    static func entries(_ bytes: [UInt8]) -> [Entry] {
        stride(from: 0, to: bytes.count - bytes.count % Entry.byteCount, by: Entry.byteCount).map { start in
            bytes.withUnsafeBytes {
                Entry(
                    hash: UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: UInt64.self)),
                    record: UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: start + 8, as: UInt32.self)))
            }
        }
    }

    /// Replaces the checkpoint.
    func store(_ checkpoint: IndexCheckpoint) -> Bool {
        let bytes = checkpoint.encoded()
        let new = folder + "/checkpoint.new"
        let file = Glibc.open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return false }
        let isWritten = write(bytes, to: file, at: 0)
        close(file)
        return isWritten && rename(new, folder + "/checkpoint") == 0
    }

    private func read(_ file: Int32, at offset: UInt64, count: Int) -> [UInt8]? {
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
            while filled < count {
                let got = pread(file, bytes.baseAddress! + filled, count - filled, off_t(offset) + filled)
                if got < 0 && errno == EINTR { continue }
                guard got > 0 else { return }
                filled += got
            }
        }
        return bytes.count == count ? bytes : nil
    }

    private func write(_ bytes: [UInt8], to file: Int32, at offset: UInt64) -> Bool {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                pwrite(file, $0.baseAddress! + written, $0.count - written, off_t(offset) + written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            written += count
        }
        return true
    }
}
