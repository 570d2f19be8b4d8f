/// A generator whose inputs can be had again: SplitMix64, for tests only.
public struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    public mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &self) }
    }

    /// The input with a few random bytes changed, removed or added.
    public mutating func mutation(of input: [UInt8]) -> [UInt8] {
        var output = input
        for _ in 0..<Int.random(in: 1...4, using: &self) {
            let byte = UInt8.random(in: .min ... .max, using: &self)
            switch Int.random(in: 0..<4, using: &self) {
            case 0 where !output.isEmpty:
                output[Int.random(in: 0..<output.count, using: &self)] ^= byte | 1
            case 1 where !output.isEmpty:
                output.remove(at: Int.random(in: 0..<output.count, using: &self))
            case 2 where !output.isEmpty:
                output.removeLast(Int.random(in: 1...output.count, using: &self))
            default: output.insert(byte, at: Int.random(in: 0...output.count, using: &self))
            }
        }
        return output
    }
}
