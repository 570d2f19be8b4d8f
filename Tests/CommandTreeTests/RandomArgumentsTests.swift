import CommandTree
import Testing

/// A small generator with a seed, so that a failure can be repeated.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Test(arguments: [1, 2, 3] as [UInt64])
func anyWordsGiveAnOutcome(seed: UInt64) {
    var random = SplitMix(state: seed)
    let vocabulary = [
        "add", "handoff", "list", "ls", "relay", "mesh", "pair", "dev", "down", "help", "operator", "promote",
        "-h",
        "--help", "--", "-", "--=", "--no-", "--no-governance", "-yf", "-n", "-n5",
        "--tail=9999999999999999999999",
        "--to", "cloud", "--skills", "a,,b", "", "=", "é", "-é", "\u{301}", "-y\u{301}", "\0", "--listen=:",
        "[:]:1",
        "-9", "--expires=99999999999999999999d", "\n", "--version", "-V", "1d", "--cert", "x:1",
    ]
    for _ in 0..<1500 {
        let line = (0..<Int.random(in: 0...6, using: &random)).map { _ in
            var word = vocabulary.randomElement(using: &random)!
            if Int.random(in: 0..<6, using: &random) == 0 {
                word.insert(
                    Character(Unicode.Scalar(UInt8.random(in: 1...255, using: &random))), at: word.startIndex)
            }
            return word
        }
        switch sample.parse(line, environment: ["KARS_RELAY_TAIL": line.last ?? ""]) {
        case .run(let command, let invocation):
            #expect(invocation.path.last == command.name)
        case .print(let text):
            #expect(text.hasSuffix("\n"))
        case .usageError(let text):
            #expect(text.hasPrefix("kars") && !text.contains("\n"), "\(line)")
        }
    }
}
