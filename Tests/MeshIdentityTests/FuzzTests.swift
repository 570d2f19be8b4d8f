import Foundation
import FuzzSupport
import TestSupport
import Testing

/// Random and mutated inputs for every decoder; far more of them with `KARS_TEST_FULL`.
struct FuzzTests {
    /// Of each decoder: with the 16 of them, more than 200,000 in the long run.
    private static let inputs = ProcessInfo.processInfo.environment["KARS_TEST_FULL"] == nil ? 1_000 : 15_000

    @Test(arguments: MeshDecoders.all.map(\.name))
    func nothingTrapsADecoder(_ name: String) throws {
        let decoder = try #require(MeshDecoders.all.first { $0.name == name })
        var random = SeededRandom(seed: name.utf8.reduce(0) { $0 &* 31 &+ UInt64($1) })
        for seed in decoder.seeds {
            #expect(!seed.isEmpty)
            decoder.decode(seed)
        }
        var input = decoder.seeds[0]
        for number in 0..<Self.inputs {
            switch number % 4 {
            case 0: decoder.decode(random.bytes(Int.random(in: 0..<64, using: &random)))
            // A chain of mutations leads further away than each alone.
            case 1, 2: input = random.mutation(of: input)
            default: input = random.mutation(of: decoder.seeds.randomElement(using: &random)!)
            }
            if number % 4 > 0 { decoder.decode(input) }
        }
    }
}
