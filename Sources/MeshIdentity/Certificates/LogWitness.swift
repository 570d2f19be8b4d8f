/// What a client remembers of a registry's log; kept on disk, so that no restart forgives a rewritten past.
public struct LogWitness: Codable, Sendable, Equatable {
    /// The newest head that was believed.
    public private(set) var head: LogHead

    /// Believes a first head.
    ///
    /// - Parameter key: the registry's, where it is known; else the first one seen counts from now on.
    public init(first head: LogHead, key: PublicKey? = nil) throws(LogError) {
        guard key == nil || key == head.key else { throw .badSignature }
        _ = try head.verify()
        self.head = head
    }

    /// Believes a later head if it continues what was seen.
    ///
    /// - Parameter consistency: from ``head`` to `next`; not needed when the sizes are the same.
    /// - Throws: ``LogError/rewritten(from:to:)`` when the two heads prove that the registry told two stories; keep
    ///   both, then.
    public mutating func accept(_ next: LogHead, consistency: LogConsistency?) throws(LogError) {
        guard next.key == head.key else { throw .badSignature }
        let root = try next.verify(), known = try head.verify()
        // An answer that was overtaken on the way is older, not false.
        if next.size < head.size {
            guard let consistency, consistency.from == next.size, consistency.to == head.size,
                MerkleTree.proves(
                    oldRoot: root, old: next.size, root: known, size: head.size,
                    path: try LogText.path(consistency.path))
            else { throw .rewritten(from: head.size, to: next.size) }
            return
        }
        var path: [[UInt8]] = []
        if next.size > head.size, let consistency {
            guard consistency.from == head.size, consistency.to == next.size else {
                throw .malformed("the consistency proof is for other sizes")
            }
            path = try LogText.path(consistency.path)
        }
        guard MerkleTree.proves(oldRoot: known, old: head.size, root: root, size: next.size, path: path) else {
            throw .rewritten(from: head.size, to: next.size)
        }
        head = next
    }
}
