/// What this end of a stream sends: pieces that wait for their turn or to be confirmed. A value without I/O.
struct StreamSendWindow: Sendable {
    struct Piece: Sendable, Equatable {
        let offset: UInt64
        let channel: UInt8
        let content: [UInt8]
        var end: UInt64 { offset + UInt64(StreamFrame.weight(of: content.count)) }
    }

    /// Where the next piece begins.
    private(set) var end: UInt64 = 0
    /// Up to where the other end has everything.
    private(set) var confirmed: UInt64 = 0
    /// Up to where it lets this end send.
    private(set) var limit: UInt64
    /// Most that waits to be confirmed, whatever the other end allows.
    private let capacity: UInt64
    private var pieces: [Piece] = []
    /// The next of them to leave.
    private var cursor = 0

    init(limit: Int, capacity: Int) {
        self.limit = UInt64(limit)
        self.capacity = UInt64(capacity)
    }

    /// Whether everything was confirmed.
    var isConfirmed: Bool { pieces.isEmpty }
    /// Whether something waits to leave.
    var hasNext: Bool { cursor < pieces.count }

    func hasRoom(for content: Int) -> Bool {
        let end = end + UInt64(StreamFrame.weight(of: content))
        return end <= limit && end - confirmed <= capacity
    }

    /// Takes a piece for which there is room.
    mutating func append(_ channel: UInt8, _ content: [UInt8]) {
        precondition(hasRoom(for: content.count))
        let piece = Piece(offset: end, channel: channel, content: content)
        pieces.append(piece)
        end = piece.end
    }

    /// The next piece to leave.
    mutating func next() -> Piece? {
        guard hasNext else { return nil }
        defer { cursor += 1 }
        return pieces[cursor]
    }

    /// Has everything that was not confirmed leave again.
    mutating func startOver() { cursor = 0 }

    /// Takes the other end's word.
    ///
    /// - Returns: whether more was confirmed or allowed; nil for a word that makes no sense.
    mutating func take(received: UInt64, limit: UInt64) -> Bool? {
        guard received <= end else { return nil }
        // An older word than the last one: it says nothing new.
        guard received >= confirmed, limit >= self.limit else { return false }
        let isNews = received > confirmed || limit > self.limit
        self.limit = limit
        let gone = pieces.prefix { $0.end <= received }.count
        guard received == (gone == 0 ? confirmed : pieces[gone - 1].end) else { return nil }
        pieces.removeFirst(gone)
        cursor = max(0, cursor - gone)
        confirmed = received
        return isNews
    }
}

/// What arrived at this end of a stream and was not taken yet. A value without I/O.
struct StreamReceiveWindow: Sendable {
    enum Arrival: Equatable {
        case taken, repeated
        /// Something before it has not come.
        case missing
        /// The other end sends more than it may, or what cannot be.
        case violation
    }

    private let capacity: UInt64
    /// Up to where everything has come.
    private(set) var received: UInt64 = 0
    /// Up to where the other end was allowed to send.
    private(set) var limit: UInt64
    private var consumed: UInt64 = 0
    private var pieces: [(channel: UInt8, content: [UInt8])] = []
    private var head = 0

    init(capacity: Int) {
        self.capacity = UInt64(capacity)
        limit = UInt64(capacity)
    }

    /// Content that waits to be taken, by weight.
    var held: Int { Int(received - consumed) }
    var isEmpty: Bool { head == pieces.count }
    /// Whether the other end should hear that it may go on.
    var owesRoom: Bool { consumed + capacity - limit >= capacity / 2 }

    mutating func take(offset: UInt64, channel: UInt8, _ content: [UInt8]) -> Arrival {
        let (end, isTooLarge) = offset.addingReportingOverflow(UInt64(StreamFrame.weight(of: content.count)))
        guard !isTooLarge, end <= limit else { return .violation }
        if offset > received { return .missing }
        // Pieces are sent again as they were, so one that lies across is none of ours.
        guard offset == received else { return end <= received ? .repeated : .violation }
        received = end
        pieces.append((channel, content))
        return .taken
    }

    mutating func next() -> (channel: UInt8, content: [UInt8])? {
        guard head < pieces.count else { return nil }
        let piece = pieces[head]
        pieces[head].content = []
        head += 1
        consumed += UInt64(StreamFrame.weight(of: piece.content.count))
        if head == pieces.count {
            pieces.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 256, head * 2 > pieces.count {
            pieces.removeFirst(head)
            head = 0
        }
        return piece
    }

    /// Gives all the room there is; what the other end is to hear of it.
    mutating func grant() -> (received: UInt64, limit: UInt64) {
        limit = consumed + capacity
        return (received, limit)
    }
}
