import Glibc
import Observability

/// The append-only file that is the agent's memory, one turn a line, with the index over it.
///
/// A line counts once it is whole: a torn last line, which a crash can leave, is cut off when the file is
/// opened. Damage anywhere else is an error, because the chain of digests no longer holds. What the index's checkpoint
/// covers is not read at the start; ``JournalCheck`` looks at it afterwards.
struct TurnJournal: ~Copyable {
    static let fileName = "conversation.jsonl"

    /// -1 once closed.
    private var file: Int32
    let path: String
    private var end: UInt64 = 0
    private let workspace: String
    private let limits: AgentLimits
    private let logger: Logger
    /// What the opening took from the index without reading it; nil when it read all.
    private(set) var unread: JournalCheck.Stretch?
    private(set) var digest = JournalDigest()
    private(set) var index: TurnIndex
    /// Set when the disk's state is unknown, after which nothing may be promised any more.
    private var failure: String?

    /// Opens or creates the journal of a workspace, for this process alone.
    init(workspace: String, limits: AgentLimits, logger: Logger) throws(AgentError) {
        path = workspace + "/" + Self.fileName
        self.workspace = workspace
        self.limits = limits
        self.logger = logger
        index = TurnIndex(workspace: workspace, maximumRequestIDs: limits.maximumRequestIDs)
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw .journal(path: path, reason: String(cString: strerror(errno))) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else { throw .inUse(path: path) }
        resume()
        do { try load() } catch .indexLost { try rebuild() }
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
        do { return try takeOnce(request) } catch .indexLost {
            try rebuild()
            return try takeOnce(request)
        }
    }

    private mutating func takeOnce(_ request: ChatRequest) throws(AgentError) -> ChatAnswer {
        if let failure { throw .journal(path: path, reason: failure) }
        if let id = request.requestID, let answer = try answer(to: id) { return answer }
        guard index.turnCount < limits.maximumTurns else {
            throw .full(reason: "the workspace holds \(limits.maximumTurns) turns, its most")
        }
        guard index.contains(request.conversation) || index.conversationCount < limits.maximumConversations
        else {
            throw .full(reason: "the workspace holds \(limits.maximumConversations) conversations, its most")
        }
        let before = index.turns(in: request.conversation)
        let previous = before == 0 ? nil : try texts(of: before, in: request.conversation).message
        let whole: String
        if let outcome = request.outcome { whole = outcome } else {
            whole = try self.reply(to: request, previous: previous, before: before)
        }
        let reply = try TokenUsage.cut(whole, to: request.maximumTokens, after: request.message)

        let payload = TurnLine.payload(request, reply: reply)
        var next = digest
        payload.withUnsafeBytes { next.append($0) }
        let line = TurnLine.line(payload: payload, digest: next)
        let record = try index.next(
            in: request.conversation, at: TurnRecord.Place(offset: end, length: UInt32(line.count - 1)))
        try append(line)
        index.append(
            record,
            TurnLine.Header(
                conversation: request.conversation, requestID: request.requestID,
                isNote: Responder.isNote(request.message)))
        end += UInt64(line.count)
        digest = next
        return ChatAnswer(
            turn: before + 1, reply: reply, remembered: .init(previous: previous, turns: before + 1),
            digest: next.text, usage: TokenUsage(message: request.message, reply: reply))
    }

    /// The file to synchronize outside the lock; it stays open as long as the journal lives.
    var descriptor: Int32 { file }

    /// Refuses every turn from now on.
    mutating func fail(_ reason: String) { failure = reason }

    var state: AgentState {
        AgentState(turns: index.turnCount, conversations: index.conversationCount, digest: digest.text)
    }

    mutating func list(_ conversation: String, offset: Int, limit: Int) throws(AgentError) -> [ListedTurn] {
        do { return try listOnce(conversation, offset: offset, limit: limit) } catch .indexLost {
            try rebuild()
            return try listOnce(conversation, offset: offset, limit: limit)
        }
    }

    private func listOnce(_ conversation: String, offset: Int, limit: Int) throws(AgentError) -> [ListedTurn] {
        let count = index.turns(in: conversation)
        guard offset < count else { return [] }
        var turns: [ListedTurn] = []
        let wanted = (offset + 1)...min(count, offset + min(limit, limits.maximumPage))
        for record in try index.records(of: wanted, in: conversation) {
            let texts = try read(record).texts
            turns.append(ListedTurn(turn: Int(record.turn), message: texts.message, reply: texts.reply))
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
                try Self.read(try index.record(of: turn, in: request.conversation), file, path).texts.message
            },
            latestNote: { [path, file, index] () throws(AgentError) in
                guard let note = try index.note(in: request.conversation) else { return nil }
                return try Self.read(note, file, path).texts.message
            })
        return try Responder.reply(to: request.message, memory: memory)
    }

    /// The first answer to a request, read back; nil for an id that is not remembered.
    private func answer(to requestID: String) throws(AgentError) -> ChatAnswer? {
        guard let record = try index.record(answering: requestID) else { return nil }
        let line = try read(record)
        // The index knows ids by their hashes.
        guard line.requestID == requestID else { return nil }
        let previous = record.turn == 1 ? nil : try read(try index.record(record.previous)).texts.message
        return ChatAnswer(
            turn: Int(record.turn), reply: line.texts.reply,
            remembered: .init(previous: previous, turns: Int(record.turn)), digest: line.digest,
            usage: TokenUsage(message: line.texts.message, reply: line.texts.reply))
    }

    private func texts(of turn: Int, in conversation: String) throws(AgentError) -> TurnLine.Texts {
        try read(try index.record(of: turn, in: conversation)).texts
    }

    private struct Line {
        let texts: TurnLine.Texts
        let requestID: String?
        let digest: String
    }

    private func read(_ record: TurnRecord) throws(AgentError) -> Line { try Self.read(record, file, path) }

    private static func read(_ record: TurnRecord, _ file: Int32, _ path: String) throws(AgentError) -> Line {
        let place = record.place
        guard place.length <= maximumLineBytes, place.offset <= UInt64(Int64.max) else { throw .indexLost }
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
        let header = line.withUnsafeBytes { TurnLine.header($0) }
        guard let header, let texts = TurnLine.texts(line) else {
            throw .damaged(path: path, offset: Int(place.offset))
        }
        let digest = line.withUnsafeBytes { String(decoding: TurnLine.digestHex(of: $0), as: UTF8.self) }
        return Line(texts: texts, requestID: header.requestID, digest: digest)
    }

    /// Message and reply of any request that a server takes, escaped, and what stands around them.
    private static let maximumLineBytes = UInt32(16 << 20)
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

    /// Begins where the index's last checkpoint ended, if that fits the journal.
    private mutating func resume() {
        guard let (files, checkpoint) = IndexFiles.open(in: workspace),
            let last = files.record(checkpoint.turns - 1),
            checkpoint.end == last.place.offset &+ UInt64(last.place.length) &+ 1,
            let line = try? read(last), line.digest == checkpoint.digest.text, endsLine(checkpoint.end),
            let resumed = TurnIndex(
                workspace: workspace, maximumRequestIDs: limits.maximumRequestIDs, files: files, checkpoint: checkpoint)
        else { return }
        index = resumed
        end = checkpoint.end
        digest = checkpoint.digest
        unread = JournalCheck.Stretch(path: path, end: end, digest: digest)
    }

    private func endsLine(_ end: UInt64) -> Bool {
        var byte: UInt8 = 0
        return pread(file, &byte, 1, off_t(end) - 1) == 1 && byte == 0x0A
    }

    /// Makes the index anew from the journal alone.
    private mutating func rebuild() throws(AgentError) {
        logger.warn("the journal's index does not fit it and is made anew", ["journal": path])
        index = TurnIndex(workspace: workspace, maximumRequestIDs: limits.maximumRequestIDs)
        end = 0
        digest = JournalDigest()
        unread = nil
        try load()
    }

    /// Whether so many turns are new that the index is to be brought to the workspace.
    var isCheckpointDue: Bool {
        failure == nil && index.newTurns >= max(limits.checkpointTurns, index.conversationCount)
    }

    /// Brings the index to the workspace; all turns so far must be on the disk.
    mutating func checkpoint() { index.store(end: end, digest: digest) }

    /// Reads what the index does not know yet, in large pieces.
    private mutating func load() throws(AgentError) {
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        var offset = off_t(end)
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
        var damage: AgentError?
        bytes.withUnsafeBytes { bytes in
            while let found = memchr(bytes.baseAddress! + start, 0x0A, bytes.count - start) {
                let newline = bytes.baseAddress!.distance(to: UnsafeRawPointer(found))
                let line = UnsafeRawBufferPointer(start: bytes.baseAddress! + start, count: newline - start)
                guard let header = TurnLine.header(line) else { return damage = .damaged(path: path, offset: Int(end)) }
                var next = digest
                next.append(TurnLine.payload(of: line))
                guard TurnLine.hasDigest(line, next) else { return damage = .damaged(path: path, offset: Int(end)) }
                do throws(AgentError) {
                    let place = TurnRecord.Place(offset: end, length: UInt32(line.count))
                    index.append(try index.next(in: header.conversation, at: place), header)
                } catch { return damage = error }
                digest = next
                end += UInt64(line.count + 1)
                start = newline + 1
                guard start < bytes.count else { return }
            }
        }
        if let damage { throw damage }
        return start
    }
}
