import CommandTree
import Testing

/// Lines that are wrong, and the sentence a person reads.
private let sentences: [(line: String, sentence: String)] = [
    ("bogus", "kars: unknown command 'bogus' (see 'kars --help')"),
    ("lsit", "kars: unknown command 'lsit'; did you mean list? (see 'kars --help')"),
    ("hand bot", "kars: unknown command 'hand'; did you mean handoff? (see 'kars --help')"),
    ("bogus --help", "kars: unknown command 'bogus' (see 'kars --help')"),
    ("help bogus", "kars: unknown command 'bogus' (see 'kars --help')"),
    ("help mesh stats", "kars mesh: unknown command 'stats'; did you mean status? (see 'kars mesh --help')"),
    ("help list x", "kars list: unknown command 'x' (see 'kars list --help')"),
    ("operator", "kars: 'operator' is not in this version of kars"),
    ("operator --help", "kars: 'operator' is not in this version of kars"),
    ("help operator", "kars: 'operator' is not in this version of kars"),
    ("mesh promote", "kars: 'mesh promote' is not in this version of kars"),
    ("mesh --x promote", "kars: 'mesh promote' is not in this version of kars"),
    ("mesh", "kars mesh: missing command; give one of status, pair (see 'kars mesh --help')"),
    ("mesh paor", "kars mesh: unknown command 'paor'; did you mean pair? (see 'kars mesh --help')"),
    ("handoff bot --tp", "kars handoff: unknown flag --tp; did you mean --to? (see 'kars handoff --help')"),
    (
        "handoff bot --tp=cloud",
        "kars handoff: unknown flag --tp; did you mean --to? (see 'kars handoff --help')"
    ),
    (
        "handoff bot -abort",
        "kars handoff: unknown flag -abort; did you mean --abort? (see 'kars handoff --help')"
    ),
    ("handoff bot -yx", "kars handoff: unknown flag -x (see 'kars handoff --help')"),
    (
        "add bot --no-governence",
        "kars add: unknown flag --no-governence; did you mean --no-governance? (see 'kars add --help')"
    ),
    ("add bot --telegram-token x", "kars add: --telegram-token is not in this version of kars"),
    ("add bot --no-mesh-peer", "kars add: --no-mesh-peer is not in this version of kars"),
    ("add bot -g", "kars add: -g is not in this version of kars"),
    ("--verbose", "kars: unknown flag --verbose (see 'kars --help')"),
    (
        "--",
        "kars: missing command; give one of add, handoff, list, relay, mesh, dev, help (see 'kars --help')"
    ),
    ("handoff bot --to", "kars handoff: --to needs a value: --to=<target> (see 'kars handoff --help')"),
    ("handoff bot --to=", "kars handoff: --to needs a value: --to=<target> (see 'kars handoff --help')"),
    ("handoff bot --to --yes", "kars handoff: --to needs a value: --to=<target> (see 'kars handoff --help')"),
    ("relay -n", "kars relay: -n needs a value: -n <lines> (see 'kars relay --help')"),
    ("handoff bot --yes=1", "kars handoff: --yes takes no value (see 'kars handoff --help')"),
    (
        "add bot --governance=false",
        "kars add: --governance takes no value; --no-governance switches it off (see 'kars add --help')"
    ),
    (
        "handoff bot --to clod",
        "kars handoff: --to wants cloud or local, not 'clod'; did you mean cloud? (see 'kars handoff --help')"
    ),
    (
        "add bot --skills browser,",
        "kars add: --skills wants browser, github or weather, not '' (see 'kars add --help')"
    ),
    (
        "relay --cert c --tail 0",
        "kars relay: --tail wants a whole number from 1 to 1000, not '0' (see 'kars relay --help')"
    ),
    (
        "relay --cert c -n1x",
        "kars relay: -n wants a whole number from 1 to 1000, not '1x' (see 'kars relay --help')"
    ),
    (
        "relay --cert c --listen 80",
        "kars relay: --listen wants HOST:PORT such as 127.0.0.1:8080, not '80' (see 'kars relay --help')"
    ),
    (
        "relay --cert c --registry ftp://x",
        "kars relay: --registry wants a URL that starts with http:// or https://, not 'ftp://x' (see 'kars relay --help')"
    ),
    (
        "add bot --expires soon",
        "kars add: --expires wants a time such as 90d, 24h, 30m or 15s, not 'soon' (see 'kars add --help')"
    ),
    ("relay", "kars relay: --cert <file> is required (see 'kars relay --help')"),
    ("add", "kars add: missing argument <name> (see 'kars add --help')"),
    ("mesh pair", "kars mesh pair: missing argument <peer> (see 'kars mesh pair --help')"),
    ("add a b", "kars add: unexpected argument 'b'; it takes only <name> (see 'kars add --help')"),
    ("list x", "kars list: unexpected argument 'x'; it takes no arguments (see 'kars list --help')"),
    (
        "handoff bot --to cloud --status",
        "kars handoff: --to and --status exclude each other; give one (see 'kars handoff --help')"
    ),
    (
        "handoff bot --status --abort",
        "kars handoff: --abort and --status exclude each other; give one (see 'kars handoff --help')"
    ),
]

@Test(arguments: sentences)
func aWrongLineGetsOneSentence(_ line: String, _ sentence: String) {
    #expect(message(words(line)) == sentence)
}

@Test func aWrongVariableIsNamed() {
    #expect(
        message(["relay", "--cert", "c"], environment: ["KARS_RELAY_TAIL": "many"])
            == "kars relay: KARS_RELAY_TAIL wants a whole number from 1 to 1000, not 'many' (see 'kars relay --help')"
    )
    #expect(
        message(["list"], environment: ["KARS_JSON": "maybe"])
            == "kars list: KARS_JSON wants true or false, not 'maybe' (see 'kars list --help')")
}

@Test func aCommandsOwnRefusalReadsTheSame() throws {
    let line = try invocation("handoff", "bot")
    #expect(
        UsageError.refused("say where to, with --to, or ask with --status").line(at: line.path)
            == "kars handoff: say where to, with --to, or ask with --status")
    let labelled = try invocation("mesh", "pair", "a", "--expires", "later")
    #expect(
        throws: UsageError.invalidValue(
            source: "--expires", wanted: "a time such as 90d, 24h, 30m or 15s", value: "later",
            suggestion: nil)
    ) {
        try labelled.duration("expires")
    }
}

@Test func aMessageStaysOnOneLine() {
    let nasty = "a\nb\u{1b}[31m\u{202e}" + String(repeating: "x", count: 500)
    for line in [
        [nasty], ["add", "a", nasty], ["add", "a", "--" + nasty], ["handoff", "b", "--to", nasty],
    ] {
        let text = message(line)
        #expect(text.hasPrefix("kars"))
        #expect(!text.contains("\n") && !text.contains("\u{1b}") && !text.contains("\u{202e}"))
        #expect(text.utf8.count < 300)
    }
}

@Test func helpWinsOverMistakes() {
    #expect(printed("handoff", "--bogus", "--help") == printed("handoff", "--help"))
    #expect(printed("add", "a", "b", "-h") == printed("add", "--help"))
    #expect(printed("--help", "bogus") == printed("--help"))
    #expect(message(["add", "a", "b", "--", "--help"]).hasPrefix("kars add: unexpected argument"))
}
