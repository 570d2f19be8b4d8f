/// Where each turn lies in the journal.
///
/// In memory are the conversations, the latest request ids and the turns since the last checkpoint; all other turns are
/// records of ``IndexFiles``, read when somebody asks for them. So neither a start nor the memory grows with the turns.
struct TurnIndex {
    private var conversations: [String: IndexCheckpoint.Conversation] = [:]
    /// Nil before the first checkpoint, and for good when the disk takes none: then all is in memory.
    private var files: IndexFiles?
    private let workspace: String
    /// Records that are in the files; those after it are here.
    private(set) var storedTurns: UInt32 = 0
    private var records: [TurnRecord] = []

    /// The latest request ids by hash, and as a ring, so that the oldest is forgotten first.
    private var ids: [UInt64: (record: UInt32, number: UInt64)] = [:]
    private var recentIDs: [UInt64] = []
    private var idCount: UInt64 = 0
    /// The id in the ring's first place.
    private var firstID: UInt64 = 0
    private var newIDs: [IndexFiles.Entry] = []
    private let maximumRequestIDs: Int
    private var isBroken = false

    init(workspace: String, maximumRequestIDs: Int) {
        self.workspace = workspace
        self.maximumRequestIDs = maximumRequestIDs
    }

    /// Begins with what the workspace's files say.
    ///
    /// - Returns: nil when there is nothing that fits together.
    init?(workspace: String, maximumRequestIDs: Int, files: IndexFiles, checkpoint: IndexCheckpoint) {
        self.init(workspace: workspace, maximumRequestIDs: maximumRequestIDs)
        let kept = min(checkpoint.ids, UInt64(maximumRequestIDs))
        guard checkpoint.coveredIDs >= kept,
            let bytes = files.idBytes(before: checkpoint.ids, count: checkpoint.coveredIDs),
            IndexCheckpoint.hash(bytes) == checkpoint.idsDigest
        else { return nil }
        self.files = files
        conversations = checkpoint.conversations
        storedTurns = checkpoint.turns
        idCount = checkpoint.ids - kept
        firstID = idCount
        ids.reserveCapacity(Int(kept))
        for entry in IndexFiles.entries(bytes).suffix(Int(kept)) {
            guard entry.record < storedTurns else { return nil }
            remember(entry)
        }
    }

    var turnCount: Int { Int(storedTurns) + records.count }
    var conversationCount: Int { conversations.count }
    /// Turns that a checkpoint would bring into the files.
    var newTurns: Int { records.count }

    func contains(_ conversation: String) -> Bool { conversations[conversation] != nil }
    func turns(in conversation: String) -> Int { Int(conversations[conversation]?.turns ?? 0) }

    // MARK: Looking up

    /// - Throws: ``AgentError/indexLost`` when the files do not say what they said.
    func record(_ number: UInt32) throws(AgentError) -> TurnRecord {
        if number >= storedTurns {
            let index = Int(number - storedTurns)
            guard index < records.count else { throw .indexLost }
            return records[index]
        }
        guard let record = files?.record(number) else { throw .indexLost }
        return record
    }

    /// The record of a turn, counted from 1, that the conversation has.
    func record(of turn: Int, in conversation: String) throws(AgentError) -> TurnRecord {
        guard let last = conversations[conversation]?.last, turn >= 1 else { throw .indexLost }
        var record = try self.record(last)
        while record.turn > turn {
            let jump = try self.record(record.jump)
            let next = jump.turn >= turn ? jump : try self.record(record.previous)
            guard next.turn < record.turn else { throw .indexLost }
            record = next
        }
        guard record.turn == turn else { throw .indexLost }
        return record
    }

    /// The records of consecutive turns that the conversation has.
    func records(of turns: ClosedRange<Int>, in conversation: String) throws(AgentError) -> [TurnRecord] {
        var found = [try record(of: turns.upperBound, in: conversation)]
        while found.count < turns.count {
            let record = found[found.count - 1], before = try self.record(record.previous)
            guard before.turn + 1 == record.turn else { throw .indexLost }
            found.append(before)
        }
        return found.reversed()
    }

    func note(in conversation: String) throws(AgentError) -> TurnRecord? {
        guard let note = conversations[conversation]?.note else { return nil }
        return try record(note)
    }

    /// The turn that a request id probably names; the line of the journal says whether it does.
    func record(answering requestID: String) throws(AgentError) -> TurnRecord? {
        guard let entry = ids[ShortHash.of(Array(requestID.utf8))] else { return nil }
        return try record(entry.record)
    }

    // MARK: Growing

    /// The record of a turn that is to be the conversation's next.
    func next(in conversation: String, at place: TurnRecord.Place) throws(AgentError) -> TurnRecord {
        guard let known = conversations[conversation] else {
            let number = UInt32(turnCount)
            return TurnRecord(place: place, turn: 1, previous: number, jump: number)
        }
        // Skew-binary: two jumps of one length are followed by one over both.
        let before = try record(known.last)
        let first = try record(before.jump), second = try record(first.jump)
        let isPair = before.turn - first.turn == first.turn - second.turn
        return TurnRecord(
            place: place, turn: known.turns + 1, previous: known.last, jump: isPair ? first.jump : known.last)
    }

    /// Adds what ``next(in:at:)`` made.
    mutating func append(_ record: TurnRecord, _ header: TurnLine.Header) {
        let number = UInt32(turnCount)
        records.append(record)
        let note = header.isNote ? number : conversations[header.conversation]?.note
        conversations[header.conversation] = .init(turns: record.turn, last: number, note: note)
        guard let id = header.requestID else { return }
        let entry = IndexFiles.Entry(hash: ShortHash.of(Array(id.utf8)), record: number)
        remember(entry)
        newIDs.append(entry)
    }

    private mutating func remember(_ entry: IndexFiles.Entry) {
        guard maximumRequestIDs > 0 else { return idCount += 1 }
        let slot = Int((idCount - firstID) % UInt64(maximumRequestIDs))
        if slot < recentIDs.count {
            let oldest = recentIDs[slot]
            if ids[oldest]?.number == idCount - UInt64(maximumRequestIDs) { ids[oldest] = nil }
            recentIDs[slot] = entry.hash
        } else {
            recentIDs.append(entry.hash)
        }
        ids[entry.hash] = (entry.record, idCount)
        idCount += 1
    }

    /// Brings what is new into the files.
    ///
    /// - Parameters:
    ///   - end: bytes of the journal that hold all turns so far; they are on the disk.
    ///   - digest: of the journal there.
    mutating func store(end: UInt64, digest: JournalDigest) {
        guard !isBroken, !records.isEmpty else { return }
        if files == nil {
            // The whole history is here.
            precondition(storedTurns == 0)
            files = IndexFiles.make(in: workspace)
        }
        let covered = UInt32(min(idCount, UInt64(maximumRequestIDs)))
        guard let files, files.append(records, from: storedTurns),
            files.append(newIDs, from: idCount - UInt64(newIDs.count)),
            let bytes = files.idBytes(before: idCount, count: covered),
            files.store(
                IndexCheckpoint(
                    salt: files.salt, turns: UInt32(turnCount), end: end, digest: digest, ids: idCount,
                    coveredIDs: covered, idsDigest: IndexCheckpoint.hash(bytes), conversations: conversations))
        else {
            // What is here still counts, and the checkpoint before too; there will be no other.
            isBroken = true
            return
        }
        storedTurns += UInt32(records.count)
        records = []
        newIDs = []
    }
}
