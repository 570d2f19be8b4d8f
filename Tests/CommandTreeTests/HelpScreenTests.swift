import Testing

@testable import CommandTree

@Test(arguments: [
    [], ["add"], ["handoff"], ["relay"], ["mesh"], ["mesh", "pair"], ["dev"], ["help"], ["list"],
])
func helpIsTheSameHoweverItIsAsked(_ path: [String]) {
    guard case .print(let text) = sample.parse(path + ["--help"]) else { return #expect(Bool(false)) }
    for line in [path + ["-h"], ["help"] + path, ["-h"] + path] {
        guard case .print(let other) = sample.parse(line) else {
            return #expect(Bool(false), "\(line): \(message(line))")
        }
        #expect(text == other, "\(line)")
    }
    #expect(text.hasSuffix("\n") && !text.hasSuffix("\n\n"))
    #expect(!text.contains("\u{1b}"))
}

@Test func noWordsAskForHelp() {
    #expect(printed() == printed("--help"))
    #expect(printed("mesh", "help", "pair") == printed("mesh", "pair", "--help"))
}

@Test func helpLooksLikeThis() throws {
    try expectSnapshot(printed("--help"), "help.txt")
    try expectSnapshot(printed("add", "--help"), "help-add.txt")
    try expectSnapshot(printed("handoff", "--help"), "help-handoff.txt")
    try expectSnapshot(printed("dev", "--help"), "help-dev.txt")
    try expectSnapshot(printed("mesh", "--help"), "help-mesh.txt")
    let narrow = TerminalStyle(width: 50, isColoured: true)
    try expectSnapshot(printed("relay", "--help", terminal: narrow), "help-relay-narrow-bold.txt")
}

@Test(arguments: [10, 40, 60, 80, 120, 500])
func helpKeepsToTheWidth(_ width: Int) {
    let style = TerminalStyle(width: width, isColoured: false)
    for line in printed("add", "--help", terminal: style).split(separator: "\n") where !line.contains("--") {
        #expect(TextLayout.columns(String(line)) <= style.width, "\(line)")
    }
}

@Test func wordsAreWrappedBetweenBlanks() {
    #expect(TextLayout.wrapped("aa bb  cc", width: 5) == ["aa bb", "cc"])
    #expect(TextLayout.wrapped("tooloongword a", width: 4) == ["tooloongword", "a"])
    #expect(TextLayout.wrapped("  ", width: 4) == [])
    #expect(TextLayout.paragraphs("a\nb\n\n  c  d\ne", width: 9) == ["a b", "", "  c  d", "e"])
}
