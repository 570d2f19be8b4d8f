/// The hash tree of an append-only list (RFC 6962 §2, RFC 9162 §2.1): SHA-256, leaves and nodes told apart by their
/// first byte, so that no leaf can pose as a node.
///
/// The makers of proofs ask for the hashes of complete subtrees: level 0 holds the leaves, and position `p` of level
/// `l` covers the leaves from `p << l` on.
public enum MerkleTree {
    /// A subtree's hash by level and position.
    public typealias Subtree = (_ level: Int, _ position: Int) throws -> [UInt8]

    /// Size of a hash in bytes.
    public static let hashSize = 32
    /// Longest path of any tree that a 64-bit size can have, in both kinds of proof.
    public static let maximumPathLength = 65

    /// Root of the empty list.
    public static var emptyRoot: [UInt8] { SHA256Digest.hash([]) }

    /// Hash of an entry.
    public static func leaf(_ entry: [UInt8]) -> [UInt8] { SHA256Digest.hash([0] + entry) }

    /// Hash over two hashes.
    public static func node(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] { SHA256Digest.hash([1] + left + right) }

    /// Root of the first `size` entries.
    public static func root(size: Int, subtree: Subtree) throws -> [UInt8] {
        size == 0 ? emptyRoot : try hash(0..<size, subtree)
    }

    /// Proof that entry `index` is among the first `size`, leaf side first.
    public static func inclusionPath(index: Int, size: Int, subtree: Subtree) throws -> [[UInt8]] {
        precondition((0..<size).contains(index), "entry \(index) is not among \(size)")
        var path: [[UInt8]] = []
        var range = 0..<size
        while range.count > 1 {
            let middle = range.lowerBound + split(range.count)
            let isLeft = index < middle
            path.append(try hash(isLeft ? middle..<range.upperBound : range.lowerBound..<middle, subtree))
            range = isLeft ? range.lowerBound..<middle : middle..<range.upperBound
        }
        return path.reversed()
    }

    /// Proof that the first `old` entries are the same in the list of `size`.
    public static func consistencyPath(old: Int, size: Int, subtree: Subtree) throws -> [[UInt8]] {
        precondition((0...size).contains(old), "a list of \(size) has no first \(old) entries")
        guard old > 0, old < size else { return [] }
        var path: [[UInt8]] = []
        var range = 0..<size
        while old != range.upperBound {
            let middle = range.lowerBound + split(range.count)
            let isLeft = old <= middle
            path.append(try hash(isLeft ? middle..<range.upperBound : range.lowerBound..<middle, subtree))
            range = isLeft ? range.lowerBound..<middle : middle..<range.upperBound
        }
        // The old root itself is known to whoever checks.
        if range.lowerBound > 0 { path.append(try hash(range, subtree)) }
        return path.reversed()
    }

    /// Whether `path` leads from entry `index` to the root of `size` entries.
    public static func proves(
        leaf: [UInt8], index: Int, size: Int, path: [[UInt8]], root: [UInt8]
    ) -> Bool {
        guard index >= 0, index < size, path.count <= maximumPathLength else { return false }
        var position = index, last = size - 1, hash = leaf
        for sibling in path {
            guard last > 0 else { return false }
            if !position.isMultiple(of: 2) || position == last {
                hash = node(sibling, hash)
                while position.isMultiple(of: 2), position > 0 {
                    position >>= 1
                    last >>= 1
                }
            } else {
                hash = node(hash, sibling)
            }
            position >>= 1
            last >>= 1
        }
        return last == 0 && hash == root
    }

    /// Whether `path` shows that the list of `old` entries became that of `size` by appending alone.
    public static func proves(
        oldRoot: [UInt8], old: Int, root: [UInt8], size: Int, path: [[UInt8]]
    ) -> Bool {
        guard old >= 0, old <= size, path.count <= maximumPathLength else { return false }
        if old == size { return path.isEmpty && oldRoot == root }
        if old == 0 { return path.isEmpty && oldRoot == emptyRoot }
        var rest = path[...]
        var position = old - 1, last = size - 1
        while !position.isMultiple(of: 2) {
            position >>= 1
            last >>= 1
        }
        // A list whose size is a power of two is a complete subtree: its root begins the path.
        guard let first = position == 0 ? oldRoot : rest.popFirst() else { return false }
        var before = first, after = first
        for sibling in rest {
            guard last > 0 else { return false }
            if !position.isMultiple(of: 2) || position == last {
                before = node(sibling, before)
                after = node(sibling, after)
                while position.isMultiple(of: 2), position > 0 {
                    position >>= 1
                    last >>= 1
                }
            } else {
                after = node(after, sibling)
            }
            position >>= 1
            last >>= 1
        }
        return last == 0 && before == oldRoot && after == root
    }

    /// Entries in the left part: the largest power of two below `count`.
    private static func split(_ count: Int) -> Int { 1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount) }

    /// Hash over a range whose left parts are all complete subtrees.
    private static func hash(_ range: Range<Int>, _ subtree: Subtree) throws -> [UInt8] {
        let count = range.count
        if count.nonzeroBitCount == 1 {
            let level = count.trailingZeroBitCount
            return try subtree(level, range.lowerBound >> level)
        }
        let middle = range.lowerBound + split(count)
        return node(try hash(range.lowerBound..<middle, subtree), try hash(middle..<range.upperBound, subtree))
    }
}
