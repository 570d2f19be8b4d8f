import Dispatch
import Glibc
import Synchronization

/// Reads what a start did not: holds the chain of digests of an old stretch of the journal while the agent works.
///
/// A piece at a time with pauses between, so that it takes little of what the agent's clients wait for.
final class JournalCheck: Sendable {
    /// The journal's beginning, up to a checkpoint of the index.
    struct Stretch: Sendable {
        let path: String
        let end: UInt64
        /// Of the whole stretch.
        let digest: JournalDigest
    }

    private static let pieceBytes = 1 << 20
    private static let pause = DispatchTimeInterval.milliseconds(20)

    private struct Progress {
        var file: Int32
        var offset: UInt64 = 0
        /// Up to here lines were whole; what follows is in `rest`.
        var digest = JournalDigest()
        var rest: [UInt8] = []
    }

    private let stretch: Stretch
    private let queue = DispatchQueue(label: "kars.agent.check", qos: .background)
    private let isCancelled = Atomic<Bool>(false)
    /// Called once with what became of it, unless it was cancelled.
    private let completion: @Sendable (AgentError?) -> Void

    init(_ stretch: Stretch, completion: @escaping @Sendable (AgentError?) -> Void) {
        self.stretch = stretch
        self.completion = completion
    }

    /// - Parameter delay: from now to the first piece.
    func start(after delay: DispatchTimeInterval) {
        queue.asyncAfter(deadline: .now() + delay) { [self] in
            guard !isCancelled.load(ordering: .relaxed) else { return }
            let file = open(stretch.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
            guard file >= 0 else {
                return completion(.journal(path: stretch.path, reason: String(cString: strerror(errno))))
            }
            goOn(Progress(file: file))
        }
    }

    /// At most one piece is read afterwards.
    func cancel() { isCancelled.store(true, ordering: .relaxed) }

    private func goOn(_ before: Progress) {
        var progress = before
        let outcome: Result<Bool, AgentError> =
            isCancelled.load(ordering: .relaxed)
            ? .success(true) : Result { () throws(AgentError) in try readPiece(&progress) }
        switch outcome {
        case .success(false):
            let next = progress
            queue.asyncAfter(deadline: .now() + Self.pause) { self.goOn(next) }
            return
        case .success(true): if !isCancelled.load(ordering: .relaxed) { completion(nil) }
        case .failure(let error): completion(error)
        }
        close(progress.file)
    }

    /// - Returns: whether it was the last.
    private func readPiece(_ progress: inout Progress) throws(AgentError) -> Bool {
        let wanted = Int(min(UInt64(Self.pieceBytes), stretch.end - progress.offset))
        var piece = [UInt8](repeating: 0, count: wanted)
        let count = pread(progress.file, &piece, wanted, off_t(progress.offset))
        if count < 0 && errno == EINTR { return false }
        guard count > 0 else { throw .damaged(path: stretch.path, offset: Int(progress.offset)) }
        progress.offset += UInt64(count)
        progress.rest.append(contentsOf: piece[..<count])
        try takeLines(&progress)
        guard progress.offset == stretch.end else { return false }
        guard progress.rest.isEmpty, progress.digest == stretch.digest else {
            throw .damaged(path: stretch.path, offset: Int(progress.offset) - progress.rest.count)
        }
        return true
    }

    private func takeLines(_ progress: inout Progress) throws(AgentError) {
        var (start, digest, damage) = (0, progress.digest, false)
        progress.rest.withUnsafeBytes { bytes in
            while start < bytes.count, let found = memchr(bytes.baseAddress! + start, 0x0A, bytes.count - start) {
                let newline = bytes.baseAddress!.distance(to: UnsafeRawPointer(found))
                let line = UnsafeRawBufferPointer(start: bytes.baseAddress! + start, count: newline - start)
                guard TurnLine.header(line) != nil else { return damage = true }
                digest.append(TurnLine.payload(of: line))
                guard TurnLine.hasDigest(line, digest) else { return damage = true }
                start = newline + 1
            }
        }
        guard !damage else {
            throw .damaged(path: stretch.path, offset: Int(progress.offset) - progress.rest.count + start)
        }
        progress.digest = digest
        progress.rest.removeFirst(start)
    }
}
