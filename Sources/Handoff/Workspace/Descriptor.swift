import Glibc

/// A system call's refusal.
struct Errno: Error, Equatable {
    let code: Int32

    init(_ code: Int32) { self.code = code }

    /// The refusal of the call just made.
    static var last: Errno { Errno(errno) }

    func at(_ path: PathBytes) -> WorkspaceError { .file(path: path.escaped, errno: code) }

    /// Runs what throws refusals and workspace errors, and gives refusals the path they concern.
    static func narrowed<Value>(at path: @autoclosure () -> String, _ body: () throws -> Value) throws(WorkspaceError) -> Value {
        do {
            return try body()
        } catch let error as WorkspaceError {
            throw error
        } catch let refusal as Errno {
            throw .file(path: path(), errno: refusal.code)
        } catch {
            preconditionFailure("nothing here throws \(error)")
        }
    }

    var isVanished: Bool { code == ENOENT || code == ENOTDIR || code == ELOOP || code == ENXIO || code == ESTALE }
    var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }
}

/// An open file or directory, closed when the last reference goes.
///
/// Names are single parts: every call refuses to follow a link at the name, so a walk that opens part by part never
/// leaves the tree it started in.
final class Descriptor: Sendable {
    let raw: CInt

    private init(owning raw: CInt) { self.raw = raw }

    deinit { close(raw) }

    /// Opens the folder a caller named; its own path may lead through links, its last part may not be one.
    static func folder(_ path: String) throws(WorkspaceError) -> Descriptor {
        let raw = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard raw >= 0 else { throw .file(path: path, errno: errno) }
        return Descriptor(owning: raw)
    }

    func open(_ name: ArraySlice<UInt8>, _ flags: CInt, mode: mode_t = 0) throws(Errno) -> Descriptor {
        let raw = withName(name) { openat(self.raw, $0, flags | O_NOFOLLOW | O_CLOEXEC, mode) }
        guard raw >= 0 else { throw .last }
        return Descriptor(owning: raw)
    }

    func openDirectory(_ name: ArraySlice<UInt8>) throws(Errno) -> Descriptor {
        try open(name, O_RDONLY | O_DIRECTORY)
    }

    func status() throws(Errno) -> stat {
        var status = stat()
        guard fstat(raw, &status) == 0 else { throw .last }
        return status
    }

    func status(of name: ArraySlice<UInt8>) throws(Errno) -> stat {
        var status = stat()
        guard withName(name, { fstatat(raw, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0 else { throw .last }
        return status
    }

    /// Names in this directory, without "." and "..", in no order; at most one more than `limit`.
    func names(limit: Int) throws(Errno) -> [[UInt8]] {
        // A descriptor of its own: the stream owns and moves it.
        let copy = openat(raw, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0 else { throw .last }
        guard let stream = fdopendir(copy) else {
            let refusal = Errno.last
            close(copy)
            throw refusal
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { return [] }
        while names.count <= limit {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw .last }
                break
            }
            let text = UnsafeRawPointer(entry).advanced(by: offset)
            let name = Array(UnsafeRawBufferPointer(start: text, count: strlen(text.assumingMemoryBound(to: CChar.self))))
            if name != [0x2e] && name != [0x2e, 0x2e] { names.append(name) }
        }
        return names
    }

    func linkText(of name: ArraySlice<UInt8>) throws(Errno) -> [UInt8] {
        var text = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = text.withUnsafeMutableBytes { text in
            withName(name) { readlinkat(raw, $0, text.baseAddress!.assumingMemoryBound(to: CChar.self), text.count) }
        }
        guard count >= 0 else { throw .last }
        return Array(text[..<count])
    }

    func makeDirectory(_ name: ArraySlice<UInt8>) throws(Errno) {
        guard withName(name, { mkdirat(raw, $0, 0o700) }) == 0 else { throw .last }
    }

    func makeLink(_ name: ArraySlice<UInt8>, text: [UInt8]) throws(Errno) {
        let made = withName(text[...]) { text in withName(name) { symlinkat(text, raw, $0) } }
        guard made == 0 else { throw .last }
    }

    /// Gives the file `name` of this directory a further name in another one.
    func link(_ name: ArraySlice<UInt8>, into folder: Descriptor, as newName: ArraySlice<UInt8>) throws(Errno) {
        let made = withName(name) { old in withName(newName) { linkat(raw, old, folder.raw, $0, 0) } }
        guard made == 0 else { throw .last }
    }

    func remove(_ name: ArraySlice<UInt8>, isDirectory: Bool = false) throws(Errno) {
        guard withName(name, { unlinkat(raw, $0, isDirectory ? AT_REMOVEDIR : 0) }) == 0 else { throw .last }
    }

    /// Gives this file to another user and group.
    /// Moves an entry into another directory, in place of what has its name there.
    ///
    /// A directory that nobody may write to cannot change its parent: it is made writable for that moment.
    func move(_ name: ArraySlice<UInt8>, to other: Descriptor) throws(Errno) {
        func rename() -> CInt { withName(name) { renameat(raw, $0, other.raw, $0) } }
        if rename() == 0 { return }
        guard errno == EACCES else { throw .last }
        let mode = try status(of: name).st_mode
        guard mode & S_IFMT == S_IFDIR else { throw Errno(EACCES) }
        try makeAccessible(name)
        let moved = rename()
        let failure = Errno.last
        let place = moved == 0 ? other : self
        try place.openDirectory(name).setMode(mode & 0o7777)
        guard moved == 0 else { throw failure }
    }

    func setOwner(_ owner: FileOwner) throws(Errno) {
        guard fchown(raw, owner.user, owner.group) == 0 else { throw .last }
    }

    /// Gives what `name` of this directory is, be it a link, to another user and group.
    func setOwner(_ owner: FileOwner, of name: ArraySlice<UInt8>) throws(Errno) {
        let given = withName(name) { fchownat(raw, $0, owner.user, owner.group, AT_SYMLINK_NOFOLLOW) }
        guard given == 0 else { throw .last }
    }

    func setMode(_ mode: UInt32) throws(Errno) {
        guard fchmod(raw, mode_t(mode & WorkspaceEntry.movedModeBits)) == 0 else { throw .last }
    }

    /// Gives the owner all rights to a directory that cannot be opened as it is.
    ///
    /// fchmodat(2) follows links; the caller has just seen that this is a directory, in a tree of its own.
    func makeAccessible(_ name: ArraySlice<UInt8>) throws(Errno) {
        guard withName(name, { fchmodat(raw, $0, 0o700, 0) }) == 0 else { throw .last }
    }

    func setTime(_ time: Timestamp) throws(Errno) {
        guard futimens(raw, time.pair) == 0 else { throw .last }
    }

    func setTime(_ time: Timestamp, ofLink name: ArraySlice<UInt8>) throws(Errno) {
        guard withName(name, { utimensat(raw, $0, time.pair, AT_SYMLINK_NOFOLLOW) }) == 0 else { throw .last }
    }

    /// Reads until the buffer is full or the file ends.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(Errno) -> Int {
        var done = 0
        while done < buffer.count {
            let count = pread(raw, buffer.baseAddress?.advanced(by: done), buffer.count - done, off_t(offset) + done)
            if count < 0 {
                if errno == EINTR { continue }
                throw .last
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// At most `count` bytes, fewer at the end of the file.
    func bytes(at offset: Int64, count: Int) throws(Errno) -> [UInt8] {
        var outcome = Result<Int, Errno>.success(0)
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            outcome = Result { () throws(Errno) in
                try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            }
            filled = (try? outcome.get()) ?? 0
        }
        _ = try outcome.get()
        return bytes
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(Errno) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(raw, bytes.baseAddress?.advanced(by: done), bytes.count - done, off_t(offset) + done)
            if count < 0 {
                if errno == EINTR { continue }
                throw .last
            }
            done += count
        }
    }

    func write(_ bytes: [UInt8], at offset: Int64) throws(Errno) {
        let outcome = bytes.withUnsafeBytes { bytes in
            Result { () throws(Errno) in try write(bytes, at: offset) }
        }
        try outcome.get()
    }

    func setSize(_ size: UInt64) throws(Errno) {
        guard ftruncate(raw, off_t(size)) == 0 else { throw .last }
    }

    /// Brings the content and attributes of this file or directory to the disk.
    func sync() throws(Errno) {
        guard fsync(raw) == 0 else { throw .last }
    }

    /// Has the kernel write dirty pages out, without waiting; a refusal is noticed when syncing.
    ///
    /// On return every page that was dirty is on its way, and read-only in all mappings until the next write faults.
    func startWritingOut() {
        let waitBefore: CUnsignedInt = 1  // SYNC_FILE_RANGE_WAIT_BEFORE of linux/fs.h
        let write: CUnsignedInt = 2  // SYNC_FILE_RANGE_WRITE
        _ = LinuxCalls.syncFileRange(raw, 0, 0, waitBefore | write)
    }

    /// Brings all of the file system this stands on to the disk.
    func syncFileSystem() throws(Errno) {
        guard LinuxCalls.syncfs(raw) == 0 else { throw .last }
    }

    /// Bytes an ordinary user may still write to the file system this stands on.
    func freeBytes() throws(Errno) -> UInt64 {
        var status = statvfs()
        guard fstatvfs(raw, &status) == 0 else { throw .last }
        return UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue
    }

    func withName<Result>(_ name: ArraySlice<UInt8>, _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        precondition(!name.contains(0), "a name is validated before it meets the system")
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: name.count + 1) { buffer in
            for (index, byte) in name.enumerated() { buffer[index] = CChar(bitPattern: byte) }
            buffer[name.count] = 0
            return body(UnsafePointer(buffer.baseAddress!))  // capacity is at least one
        }
    }
}

extension Timestamp {
    init(_ time: timespec) { self.init(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec)) }

    /// Access and modification time for utimensat(2); both are set, so that neither is the moment of the restore.
    fileprivate var pair: [timespec] {
        let time = timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds))
        return [time, time]
    }
}
