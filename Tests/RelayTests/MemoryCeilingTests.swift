import Synchronization
import Testing

@testable import Relay

struct MemoryCeilingTests {
    @Test func sheddingEndsWellBelowTheCeiling() {
        let resident = Mutex<Int?>(nil)
        let ceiling = MemoryCeiling(limit: 1_000) { resident.withLock { $0 } }
        let states = [900, 1_000, 1_001, 950, 901, 900, 950].map { bytes in
            resident.withLock { $0 = bytes }
            #expect(ceiling.update() == bytes)
            return ceiling.isExceeded
        }
        #expect(states == [false, false, true, true, true, false, false])
        resident.withLock { $0 = nil }
        #expect(ceiling.update() == nil)
        #expect(!ceiling.isExceeded)
    }

    @Test func theKernelsFiguresAreRead() throws {
        let resident = try #require(MemoryCeiling.residentBytes())
        #expect((1 << 20..<1 << 40).contains(resident))
        #expect(MemoryCeiling.defaultLimit > resident)
    }
}
