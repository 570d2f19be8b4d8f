import CSodium
import Synchronization

/// Memory for many small secrets: locked against swapping where the system allows it, handed out in blocks of a few
/// sizes, wiped when a block comes back.
///
/// libsodium guards each of its allocations with pages of its own and locks it with a system call, which suits a
/// handful of keys that live long. A ratchet makes and forgets several keys a message: these share its pages.
enum LockedMemory {
    /// Smallest and largest block in bytes; blocks are powers of two.
    private static let smallest = 32
    private static let largest = 4096
    /// What is asked of libsodium at a time. It never goes back, so a process keeps what it needed at its busiest.
    private static let regionSize = 16_384

    /// Addresses of free blocks by size.
    private static let free = Mutex<[[UInt]]>(
        Array(repeating: [], count: (largest / smallest).trailingZeroBitCount + 1))

    /// What a block for `count` bytes really holds.
    static func size(for count: Int) -> Int {
        guard count > smallest else { return smallest }
        return 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount)
    }

    /// A block of a size that ``size(for:)`` gave, with undefined content.
    static func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        guard size <= largest else { return region(size) }
        let address = free.withLock { lists in
            let index = index(of: size)
            if lists[index].isEmpty {
                let start = UInt(bitPattern: region(regionSize))
                lists[index] = stride(from: 0, to: regionSize, by: size).map { start + UInt($0) }
            }
            return lists[index].removeLast()
        }
        guard let block = UnsafeMutableRawPointer(bitPattern: address) else { preconditionFailure("a block at 0") }
        return block
    }

    /// Wipes a block and takes it back.
    static func release(_ block: UnsafeMutableRawPointer, size: Int) {
        guard size <= largest else { return sodium_free(block) }
        sodium_memzero(block, size)
        free.withLock { $0[index(of: size)].append(UInt(bitPattern: block)) }
    }

    private static func index(of size: Int) -> Int { (size / smallest).trailingZeroBitCount }

    private static func region(_ size: Int) -> UnsafeMutableRawPointer {
        Sodium.ready
        // Locked when it may be; it goes on without when the limit forbids it.
        guard let region = sodium_malloc(size) else { preconditionFailure("no memory for \(size) secret bytes") }
        return region
    }
}
