import Glibc
import Observability

/// The append-only file that is the agent's memory, one turn a line, with the index over it.
///
/// A line counts once it is whole: a torn last line, which a crash can leave, is cut off when the file is
/// opened. Damage anywhere else is an error, because the chain of digests no longer holds.
struct TurnJournal: ~Copyable {
    static let fileName = "conversation.jsonl"

    /// -1 once closed.
    private var file: Int32
    let path: String
    private var end: UInt64 = 0
    private let limits: AgentLimits
    private(set) var digest = JournalDigest()
    private(set) var index: TurnIndex
    /// Set when the disk's state is unknown, after which nothing may be promised any more.
    private var failure: String?

    /// Opens or creates the journal of a workspace, for this process alone.
    init(workspace: String, limits: AgentLimits, logger: Logger) throws(AgentError) {
        path = workspace + "/" + Self.fileName
        self.limits = limits
        index = TurnIndex(maximumRequestIDs: limits.maximumRequestIDs)
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw .journal(path: path, reason: String(cString: strerror(errno))) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else { throw .inUse(path: path) }
        try load(logger)
    }

    deinit { if file >= 0 { Glibc.close(file) } }

    /// Gives the workspace to the next agent; every later call fails.
    mutating func close() {
        guard file >= 0 else { return }
        // Not left to the closing alone: a child being spawned may hold a copy of the descriptor.
        flock(file, LOCK_UN)
        Glibc.close(file)
        file = -1
        failure = "closed"
    }

    /// Answers a request and writes its turn; a repeated request id only reads.
    ///
    /// The turn is in the file afterwards but not yet on the disk.
    mutating func take(_ request: ChatRequest) throws(AgentError) -> ChatAnswer {
        if let failure { throw .journal(path: path, reason: failure) }
        if let id = request.requestID, let first = index.turn(answering: id) {
            return try answer(to: first.turn, in: first.conversation)
        }
        guard index.turnCount < limits.maximumTurns else {
            throw .full(reason: "the workspace holds \(limits.maximumTurns) turns, its most")
        }
        guard index.contains(request.conversation) || index.conversationCount < limits.maximumConversations
        else {
            throw .full(reason: "the workspace holds \(limits.maximumConversations) conversations, its most")
        }
        let before = index.turns(in: request.conversation)
        let previous = before == 0 ? nil : try texts(of: before, in: request.conversation).message
        let reply = try reply(to: request, previous: previous, before: before)

        let payload = TurnLine.payload(request, reply: reply)
        var next = digest
        payload.withUnsafeBytes { next.append($0) }
        let line = TurnLine.line(payload: payload, digest: next)
        try append(line)
        index.append(
            TurnLine.Header(
                conversation: request.conversation, requestID: request.requestID,
                isNote: Responder.isNote(request.message)),
            at: TurnIndex.Place(offset: end, length: UInt32(line.count - 1)))
        end += UInt64(line.count)
        digest = next
        return ChatAnswer(
            turn: before + 1, reply: reply, remembered: .init(previous: previous, turns: before + 1),
            digest: next.text)
    }

    /// The file to synchronize outside the lock; it stays open as long as the journal lives.
    var descriptor: Int32 { file }

    /// Refuses every turn from now on.
    mutating func fail(_ reason: String) { failure = reason }

    var state: AgentState {
        AgentState(turns: index.turnCount, conversations: index.conversationCount, digest: digest.text)
    }

    func list(_ conversation: String, offset: Int, limit: Int) throws(AgentError) -> [ListedTurn] {
        var turns: [ListedTurn] = []
        let count = index.turns(in: conversation)
        guard offset < count else { return [] }
        for turn in (offset + 1)...min(count, offset + min(limit, limits.maximumPage)) {
            let texts = try texts(of: turn, in: conversation)
            turns.append(ListedTurn(turn: turn, message: texts.message, reply: texts.reply))
        }
        return turns
    }
}

// MARK: - Reading

extension TurnJournal {
    private func reply(
        to request: ChatRequest, previous: String?, before: Int
    ) throws(AgentError) -> String {
        let memory = Responder.Memory(
            previous: previous, turnsBefore: before,
            message: { [path, file, index] turn throws(AgentError) in
                try Self.read(index.place(of: turn, in: request.conversation), file, path).texts.message
            },
            latestNote: { [path, file, index] () throws(AgentError) in
                guard let turn = index.noteTurn(in: request.conversation) else { return nil }
                return try Self.read(index.place(of: turn, in: request.conversation), file, path).texts.message
            })
        return try Responder.reply(to: request.message, memory: memory)
    }

    /// The first answer to a turn, read back.
    private func answer(to turn: Int, in conversation: String) throws(AgentError) -> ChatAnswer {
        let line = try Self.read(index.place(of: turn, in: conversation), file, path)
        let previous = turn == 1 ? nil : try texts(of: turn - 1, in: conversation).message
        return ChatAnswer(
            turn: turn, reply: line.texts.reply, remembered: .init(previous: previous, turns: turn),
            digest: line.digest)
    }

    private func texts(of turn: Int, in conversation: String) throws(AgentError) -> TurnLine.Texts {
        try Self.read(index.place(of: turn, in: conversation), file, path).texts
    }

    private static func read(
        _ place: TurnIndex.Place?, _ file: Int32, _ path: String
    ) throws(AgentError) -> (texts: TurnLine.Texts, digest: String) {
        guard let place else { preconditionFailure("the index knows every turn it counts") }
        var line = [UInt8](repeating: 0, count: Int(place.length))
        var filled = 0
        while filled < line.count {
            let count = line.withUnsafeMutableBytes {
                pread(file, $0.baseAddress! + filled, $0.count - filled, off_t(place.offset) + filled)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                throw .journal(path: path, reason: count < 0 ? String(cString: strerror(errno)) : "cut short")
            }
            filled += count
        }
        guard let texts = TurnLine.texts(line) else {
            throw .damaged(path: path, offset: Int(place.offset))
        }
        let digest = line.withUnsafeBytes { String(decoding: TurnLine.digestHex(of: $0), as: UTF8.self) }
        return (texts, digest)
    }
}

// MARK: - Writing and loading

extension TurnJournal {
    /// Writes a whole line at the end, or leaves the file as it was.
    private mutating func append(_ line: [UInt8]) throws(AgentError) {
        var written = 0
        while written < line.count {
            let count = line.withUnsafeBytes {
                pwrite(file, $0.baseAddress! + written, $0.count - written, off_t(end) + written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let reason = String(cString: strerror(errno))
                if ftruncate(file, off_t(end)) != 0 { failure = reason }
                throw .journal(path: path, reason: reason)
            }
            written += count
        }
    }

    /// Reads the file in large pieces and indexes its lines.
    private mutating func load(_ logger: Logger) throws(AgentError) {
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        var offset: off_t = 0
        while true {
            let count = pread(file, &chunk, chunk.count, offset)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .journal(path: path, reason: String(cString: strerror(errno))) }
            if count == 0 { break }
            offset += count
            pending.append(contentsOf: chunk[..<count])
            let used = try indexLines(of: pending)
            pending.removeFirst(used)
        }
        guard !pending.isEmpty else { return }
        logger.warn("cut off a torn turn at the end of the journal", ["bytes": pending.count])
        guard ftruncate(file, off_t(end)) == 0, fdatasync(file) == 0 else {
            throw .journal(path: path, reason: String(cString: strerror(errno)))
        }
    }

    /// - Returns: how many bytes were whole lines.
    private mutating func indexLines(of bytes: [UInt8]) throws(AgentError) -> Int {
        var start = 0
        var damage: Int?
        bytes.withUnsafeBytes { bytes in
            while let found = memchr(bytes.baseAddress! + start, 0x0A, bytes.count - start) {
                let newline = bytes.baseAddress!.distance(to: UnsafeRawPointer(found))
                let line = UnsafeRawBufferPointer(start: bytes.baseAddress! + start, count: newline - start)
                guard let header = TurnLine.header(line) else { return damage = Int(end) }
                var next = digest
                next.append(TurnLine.payload(of: line))
                guard TurnLine.hasDigest(line, next) else { return damage = Int(end) }
                index.append(header, at: TurnIndex.Place(offset: end, length: UInt32(line.count)))
                digest = next
                end += UInt64(line.count + 1)
                start = newline + 1
                guard start < bytes.count else { return }
            }
        }
        if let damage { throw .damaged(path: path, offset: damage) }
        return start
    }
}
