import Glibc

@testable import Handoff

/// A folder for one test, removed with all it holds when the test lets go of it.
///
/// It holds a canary beside the places a test works in, which must be as it was at the end.
final class TestTree {
    let path: String

    init() throws {
        var template = Array("/tmp/kars-ws-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno.last }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        mkdir(path + "/canary", 0o755)
        put("untouched", to: path + "/canary/file")
    }

    deinit {
        if let folder = try? Descriptor.folder(path) { try? TreeRemoval.empty(folder) }
        rmdir(path)
    }

    /// Makes an empty folder.
    func folder(_ name: String) -> String {
        mkdir(path + "/" + name, 0o755)
        return path + "/" + name
    }

    func store(_ name: String = "store") throws -> ChunkStore { try ChunkStore(folder: path + "/" + name) }

    /// Overwrites the first byte of a chunk in the store's file.
    func damage(_ chunk: [UInt8]) throws {
        let file = open(path + "/store/chunks", O_RDWR)
        defer { close(file) }
        var status = stat()
        guard file >= 0, fstat(file, &status) == 0 else { throw Errno.last }
        var content = [UInt8](repeating: 0, count: status.st_size)
        guard pread(file, &content, content.count, 0) == content.count,
            let place = content.indices.first(where: { content[$0...].starts(with: chunk) })
        else { throw Errno(ENOENT) }
        guard pwrite(file, [chunk[0] ^ 1], 1, place) == 1 else { throw Errno.last }
    }

    /// Whether nothing stands beside the given folders and the canary, and that is as it was made.
    func hasOnly(_ names: String...) throws -> Bool {
        let found = Set(try Descriptor.folder(path).names(limit: 1000).map { String(decoding: $0, as: UTF8.self) })
        let canary = try Descriptor.folder(path + "/canary")
        let content = try canary.open(Array("file".utf8)[...], O_RDONLY).bytes(at: 0, count: 100)
        let status = try canary.status(of: Array("file".utf8)[...])
        let count = try canary.names(limit: 10).count
        return found == Set(names + ["canary"]) && content == Array("untouched".utf8) && status.st_nlink == 1
            && count == 1
    }
}

/// Replaces a file; bytes of the path are taken as they are.
func put(_ bytes: [UInt8], to path: [UInt8]) {
    let descriptor = (path + [0]).withUnsafeBytes {
        open($0.baseAddress!.assumingMemoryBound(to: CChar.self), O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    }
    precondition(descriptor >= 0, "cannot write \(PathBytes(path))")
    var done = 0
    while done < bytes.count { done += bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress! + done, bytes.count - done, done) } }
    close(descriptor)
}

func put(_ bytes: [UInt8], to path: String) { put(bytes, to: Array(path.utf8)) }
func put(_ text: String, to path: String) { put(Array(text.utf8), to: Array(path.utf8)) }

func setTime(_ path: String, _ seconds: Int, _ nanoseconds: Int) {
    let times = [timespec(tv_sec: seconds, tv_nsec: nanoseconds), timespec(tv_sec: seconds, tv_nsec: nanoseconds)]
    precondition(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0)
}

func isEmpty(_ folder: String) throws -> Bool { try Descriptor.folder(folder).names(limit: 1).isEmpty }

/// Random numbers from a seed (SplitMix64), so that a failure can be repeated.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        bytes.withUnsafeMutableBytes { buffer in
            for index in stride(from: 0, to: count - count % 8, by: 8) {
                buffer.storeBytes(of: next(), toByteOffset: index, as: UInt64.self)
            }
            for index in (count - count % 8)..<count { buffer[index] = UInt8(truncatingIfNeeded: next()) }
        }
        return bytes
    }
}

/// Copies all chunks of a tree into a store, as a transfer would.
func move(_ manifest: Manifest, _ state: ScanState, from tree: String, to store: ChunkStore) throws {
    let reader = try ChunkReader(root: tree, state: state)
    for id in store.missing(from: manifest) { try store.put(try reader.readChunk(id), expecting: id) }
    try store.syncAll()
}
