import CommandTree
import Testing

@Test func placeholderBuilds() { #expect(DurationText.parse("1h30m") == .seconds(5400)) }
