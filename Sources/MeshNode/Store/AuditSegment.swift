import FoundationEssentials
import MeshIdentity
import Storage

/// One decision, chained to the one before.
public struct AuditRow: Codable, Sendable, Equatable {
    /// Counted from 1.
    public let sequence: Int
    public let time: String
    /// Who wanted it: `operator`, or a peer's DID.
    public let agent: String
    public let action: String
    public let decision: String
    public let previous: String
    public let hash: String

    init(sequence: Int, time: String, agent: String, action: String, decision: String, previous: String, hash: String) {
        self.sequence = sequence
        self.time = time
        self.agent = agent
        self.action = action
        self.decision = decision
        self.previous = previous
        self.hash = hash
    }

    init(after end: AgentAudit.End, agent: String, action: String, decision: String, now: Date) {
        let (agent, action, decision) = (
            AuditChain.encoded(agent), AuditChain.encoded(action), AuditChain.encoded(decision)
        )
        let (sequence, time) = (end.sequence + 1, MeshTimestamp.format(now))
        self.init(
            sequence: sequence, time: time, agent: agent, action: action, decision: decision, previous: end.hash,
            hash: AuditChain.hash(sequence, time, agent, action, decision, end.hash))
    }

    /// - Parameter row: its columns in the order of the properties.
    init(stored row: Row) throws {
        self.init(
            sequence: row.int(0), time: row.text(1), agent: row.text(2), action: row.text(3), decision: row.text(4),
            previous: row.text(5), hash: row.text(6))
    }

    /// Whether it is within the bounds of a row and its hash is its own.
    var isSound: Bool {
        let fields = [time, agent, action, decision]
        return sequence > 0 && sequence < Int(Int32.max) && previous.utf8.count <= 64
            && fields.allSatisfy { $0.utf8.count <= 512 && AuditChain.isEncoded($0) }
            && hash == AuditChain.hash(sequence, time, agent, action, decision, previous)
    }
}

/// The end of an agent's chain as a peer signed it when it gave the agent away.
public struct AuditHead: Codable, Sendable, Equatable {
    /// Of the move: the one that its write of the home record has.
    public let epoch: Int
    public let sequence: Int
    public let hash: String
    /// The peer's.
    public let key: PublicKey
    public let signature: WireBytes

    init(epoch: Int, sequence: Int, hash: String, key: PublicKey, signature: WireBytes) {
        self.epoch = epoch
        self.sequence = sequence
        self.hash = hash
        self.key = key
        self.signature = signature
    }

    init(_ end: AgentAudit.End, of lineage: DID, epoch: Int, signer: Identity) {
        self.init(
            epoch: epoch, sequence: end.sequence, hash: end.hash, key: signer.publicKey,
            signature: WireBytes(signer.sign(Self.signedText(end, lineage, epoch))))
    }

    private static func signedText(_ end: AgentAudit.End, _ lineage: DID, _ epoch: Int) -> [UInt8] {
        Array("kars-audit-head-1|\(lineage.text)|\(epoch)|\(end.sequence)|\(end.hash)".utf8)
    }

    func isSigned(of lineage: DID) -> Bool {
        key.isValid(
            signature: signature.bytes, over: Self.signedText(.init(sequence: sequence, hash: hash), lineage, epoch))
    }
}

/// A part of an agent's chain with the heads that were signed in it.
public struct AuditSegment: Codable, Sendable, Equatable {
    public var rows: [AuditRow]
    /// In the order of their epochs.
    public var heads: [AuditHead]

    public init(rows: [AuditRow] = [], heads: [AuditHead] = []) {
        self.rows = rows
        self.heads = heads
    }

    /// Whether each row and head by itself is within its bounds, so that a taker may hold it until all are there.
    public var isBounded: Bool {
        rows.allSatisfy(\.isSound)
            && heads.allSatisfy { $0.hash.utf8.count <= 64 && $0.signature.bytes.count == PublicKey.signatureSize }
    }

    /// Whether it goes on where a chain ended.
    public func continues(_ end: AgentAudit.End) -> Bool {
        guard end.sequence > 0 else { return true }
        if let first = rows.first { return first.sequence == end.sequence + 1 && first.previous == end.hash }
        return heads.last.map { $0.sequence == end.sequence && $0.hash == end.hash } ?? false
    }

    /// The number of the first row that does not follow from the one before; nil when all do.
    public var firstBrokenRow: Int? {
        var before: AuditRow?
        for row in rows {
            guard row.isSound, row.sequence > 1 || row.previous.isEmpty else { return row.sequence }
            if let before, row.sequence != before.sequence + 1 || row.previous != before.hash { return row.sequence }
            before = row
        }
        return nil
    }

    /// Epochs whose head is not signed by the key it names, or speaks of another row than the one that is here.
    public func brokenHeads(of lineage: DID) -> [Int] {
        let hashes = Dictionary(rows.map { ($0.sequence, $0.hash) }) { first, _ in first }
        var (broken, before): ([Int], AuditHead?) = ([], nil)
        for head in heads {
            // What ends where the rows begin speaks of a row that the other side has.
            let isBefore = rows.first.map { head.sequence == $0.sequence - 1 } ?? true
            let fits = hashes[head.sequence].map { $0 == head.hash } ?? isBefore
            let follows = before.map { $0.epoch < head.epoch && $0.sequence <= head.sequence } ?? true
            if !fits || !follows || !head.isSigned(of: lineage) { broken.append(head.epoch) }
            before = head
        }
        return broken
    }

    /// Whether a taker may keep what a giver sent: whole, within its bounds, and ended by the giver's own signature.
    public func isSound(of lineage: DID, epoch: Int, from giver: PublicKey) -> Bool {
        guard rows.count <= AgentAudit.keptRows, heads.count <= AgentAudit.keptRows, firstBrokenRow == nil,
            brokenHeads(of: lineage).isEmpty, let last = heads.last, last.key == giver, last.epoch == epoch
        else { return false }
        return rows.last.map { $0.sequence == last.sequence } ?? true
    }
}
