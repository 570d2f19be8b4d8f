import Testing

@testable import CommandTree

@Test func columnsStandUnderTheirHeads() {
    var table = Table(header: ["NAME", "STATUS", "AGE"])
    table.add(["researcher", "running", "3m"])
    table.add(["猫", "", ""])
    table.add(["a\nb", "stopped", "1\u{1b}d"])
    #expect(
        table.text() == """
            NAME         STATUS    AGE
            researcher   running   3m
            猫
            a\\nb         stopped   1\\u{1b}d

            """)
}

@Test func anEmptyTableIsItsHeader() {
    #expect(Table(header: ["NAME", "STATUS"]).text() == "NAME   STATUS\n")
    #expect(
        Table(header: ["A"]).text(TerminalStyle(width: 80, isColoured: true)) == "\u{1b}[1mA\u{1b}[0m\n")
}

@Test(
    arguments: [
        (true, [:], true), (false, [:], false), (true, ["NO_COLOR": "1"], false),
        (true, ["NO_COLOR": ""], true),
        (true, ["TERM": "dumb"], false), (true, ["TERM": "xterm"], true),
    ] as [(Bool, [String: String], Bool)])
func coloursAreForTerminalsThatWantThem(
    _ isTerminal: Bool, _ environment: [String: String], _ isColoured: Bool
) {
    #expect(TerminalStyle.allowsColour(isTerminal: isTerminal, environment: environment) == isColoured)
}

@Test func aPlainStyleWritesNoEscapes() {
    let plain = TerminalStyle.plain
    #expect(
        [plain.bold("a"), plain.red("b"), plain.dim("c"), plain.green("d"), plain.yellow("e")].joined()
            == "abcde")
    #expect(TerminalStyle(width: 80, isColoured: true).red("b") == "\u{1b}[31mb\u{1b}[0m")
}
