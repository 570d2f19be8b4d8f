import Foundation
import Synchronization
import TestSupport
import Testing

@testable import MeshIdentity

struct SecretMemoryTests {
    @Test func blocksAreWipedBeforeSomebodyElseGetsThem() {
        for size in [1, 32, 33, 100, 4096] {
            var secret: SecretBytes? = SecretBytes(pooled: size) { $0.initialize(repeating: 0xA5, count: size) }
            let address = secret!.withPointer { UInt(bitPattern: $0) }
            secret = nil
            // The block that came back last goes out first.
            let block = LockedMemory.allocate(LockedMemory.size(for: size))
            #expect(UInt(bitPattern: block) == address)
            #expect(UnsafeRawBufferPointer(start: block, count: size).allSatisfy { $0 == 0 })
            LockedMemory.release(block, size: LockedMemory.size(for: size))
        }
    }

    @Test func aWriterKeepsItsOrderOverEveryGrowth() {
        var random = SeededRandom(seed: 11)
        for _ in 0..<200 {
            var writer = SecretWriter(capacity: Int.random(in: 0...64, using: &random))
            var expected: [UInt8] = []
            for _ in 0..<Int.random(in: 0...40, using: &random) {
                let part = random.bytes(Int.random(in: 0...300, using: &random))
                switch Int.random(in: 0...3, using: &random) {
                case 0:
                    writer.append(part)
                    expected += part
                case 1:
                    writer.append(SecretBytes(copying: part))
                    expected += part
                case 2:
                    part.withUnsafeBytes { writer.appendHex($0) }
                    expected += Array(Hex.encode(part).utf8)
                default:
                    writer.append(7)
                    expected.append(7)
                }
            }
            #expect(writer.finish().array == expected)
        }
        // One that is given up takes its block back.
        _ = SecretWriter(capacity: 10_000)
    }

    @Test func secretsOfAllSizesAreComparedWhole() {
        for size in [0, 1, 31, 32, 33, 4095, 4096, 4097, 100_000] {
            let bytes = RandomBytes.make(size)
            let secret = SecretBytes(copying: bytes)
            let pooled = bytes.withUnsafeBytes { SecretBytes(pooled: $0) }
            #expect(secret == pooled && pooled.array == bytes)
            guard size > 0 else { continue }
            #expect(SecretBytes(copying: bytes.flipping(bit: size * 8 - 1)) != pooled)
            #expect(SecretBytes(copying: Array(bytes.dropLast())) != pooled)
        }
    }

    @Test func manyThreadsShareThePages() async {
        await withTaskGroup(of: Bool.self) { group in
            for task in 0..<8 {
                group.addTask {
                    var kept: [SecretBytes] = []
                    var random = SeededRandom(seed: UInt64(task))
                    for round in 0..<2_000 {
                        let size = Int.random(in: 1...200, using: &random)
                        kept.append(SecretBytes(pooled: size) { $0.initialize(repeating: UInt8(task), count: size) })
                        if round % 3 == 0 { kept.remove(at: Int.random(in: 0..<kept.count, using: &random)) }
                    }
                    return kept.allSatisfy { $0.array.allSatisfy { $0 == UInt8(task) } }
                }
            }
            for await isWhole in group { #expect(isWhole) }
        }
    }

    /// Looks for keys in everything that this process may write to and that could be swapped out.
    @Test func keysOfSessionsAndPrekeysAreNowhereButInLockedMemory() throws {
        var pair = try Pair()
        for round in 0..<4 {
            _ = try deliver([UInt8(round)], from: &pair.first, to: &pair.second)
            _ = try deliver([UInt8(round)], from: &pair.second, to: &pair.first)
        }
        _ = try pair.first.encrypt([0])
        #expect(try deliver([9], from: &pair.first, to: &pair.second))
        // Stored and read again, as a node does.
        let sealer = try KeySealers.machineKey(folder: TemporaryFolder().path)
        let box = try pair.second.serialized().withUnsafeBytes { try sealer.seal($0, associatedData: []) }
        let read = try RatchetSession(serialized: sealer.open(box, associatedData: []))
        let prekeys = try PrekeyStore(serialized: pair.prekeys.serialized())
        #expect(prekeys == pair.prekeys)
        let state = read.state
        #expect(state.skipped.count == 1)
        let keys = [
            state.root, try #require(state.sendingChain), try #require(state.receivingChain),
            state.selfPair.privateKey, try #require(state.skipped[state.skipped.order[0]]),
            prekeys.current.pair.privateKey, try #require(prekeys.oneTimePair(id: 5)?.privateKey),
        ]
        // What the search can find, it must find: a control that lies in plain memory, on this thread and on another.
        let control = RandomBytes.make(32)
        let other = Mutex<[UInt8]>([])
        let thread = Thread { other.withLock { $0 = RandomBytes.make(48) } }
        thread.start()
        while other.withLock({ $0.isEmpty }) { sched_yield() }
        let memory = try ProcessMemory()
        #expect(memory.count(control) > 0 && memory.count(other.withLock { $0 }) > 0)
        for (index, key) in keys.enumerated() {
            #expect(key.withUnsafeBytes { memory.count($0) } == 0, "key \(index)")
            let hex = SecretBytes(pooled: 64) { output in
                key.withUnsafeBytes { key in
                    for (place, byte) in key.enumerated() {
                        output[2 * place] = Hex.digit(byte >> 4)
                        output[2 * place + 1] = Hex.digit(byte & 15)
                    }
                }
            }
            #expect(hex.withUnsafeBytes { memory.count($0) } == 0, "digits of key \(index)")
        }
    }
}

/// The writable memory of this process, less what libsodium gave out.
private struct ProcessMemory {
    private var ranges: [Range<UInt>] = []

    init() throws {
        struct Mapping {
            let range: Range<UInt>
            let access: Substring
        }
        let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8).split(separator: "\n").compactMap {
            line -> Mapping? in
            let words = line.split(separator: " ")
            let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            return ends.count == 2 ? Mapping(range: ends[0]..<ends[1], access: words[1].prefix(3)) : nil
        }
        for (index, mapping) in maps.enumerated() where mapping.access.hasPrefix("rw") {
            // Its own layout: a page to be read, one that nobody may touch, then what it gave out. Arenas and stacks
            // lie beside pages that nobody may touch too.
            func isPage(_ place: Int, _ access: String) -> Bool {
                maps[place].access == access && maps[place].range.count == Int(sysconf(Int32(_SC_PAGESIZE)))
                    && maps[place].range.upperBound == maps[place + 1].range.lowerBound
            }
            let isSodiums = index >= 2 && isPage(index - 1, "---") && isPage(index - 2, "r--")
            if !isSodiums { ranges.append(mapping.range) }
        }
    }

    func count(_ bytes: [UInt8]) -> Int { bytes.withUnsafeBytes { count($0) } }

    /// How often the bytes occur.
    func count(_ needle: UnsafeRawBufferPointer) -> Int {
        let file = open("/proc/self/mem", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        // Into locked memory, so that what it copies is not found again.
        let size = 1 << 20
        var found = 0
        _ = SecretBytes(count: size) { chunk in
            for range in ranges {
                var start = range.lowerBound
                while start < range.upperBound {
                    let count = pread(file, chunk.baseAddress!, min(size, Int(range.upperBound - start)), off_t(start))
                    // A page that went away meanwhile.
                    guard count > 0 else { break }
                    var place = chunk.baseAddress!
                    var rest = count
                    while rest >= needle.count, let hit = memchr(place, Int32(needle[0]), rest - needle.count + 1) {
                        if memcmp(hit, needle.baseAddress!, needle.count) == 0 { found += 1 }
                        rest -= hit - place + 1
                        place = hit + 1
                    }
                    // Overlapping, so that nothing is missed between two chunks.
                    start += UInt(count)
                    if start < range.upperBound { start -= UInt(needle.count) }
                }
            }
        }
        return found
    }
}
