import Testing

@testable import CommandTree

@Test(arguments: [
    "handoff bot --to cloud", "handoff --to cloud bot", "--to cloud handoff bot", "handoff --to=cloud bot",
    "handoff --to cloud -- bot", "handoff --to local bot --to cloud",
])
func aValueMayStandAnywhere(_ line: String) throws {
    guard case .run(let command, let invocation) = sample.parse(words(line)) else {
        return #expect(Bool(false), "\(line): \(message(words(line)))")
    }
    #expect(command.name == "handoff")
    #expect(invocation.path == ["kars", "handoff"])
    #expect(invocation.value("to") == "cloud")
    #expect(invocation.required("name") == "bot")
}

@Test(arguments: ["-n 7", "-n7", "--tail 7", "--tail=7"])
func aShortOptionTakesItsValueGluedOrApart(_ option: String) throws {
    let outcome = sample.parse(["relay", "--cert", "c.pem"] + words(option))
    guard case .run(_, let invocation) = outcome else { return #expect(Bool(false), "\(outcome)") }
    #expect(try invocation.integer("tail") == 7)
}

@Test func shortFlagsMayBeBundled() throws {
    let both = try invocation("handoff", "bot", "-yf")
    #expect(both.flag("yes") && both.flag("force") && !both.flag("status"))
    #expect(printed("handoff", "-yh") == printed("handoff", "--help"))
}

@Test func aFlagIsNegatedWithNo() throws {
    #expect(try invocation("add", "bot").flag("governance"))
    #expect(try !invocation("add", "bot", "--no-governance").flag("governance"))
    #expect(try invocation("add", "bot", "--no-governance", "--governance").flag("governance"))
}

@Test func listsRepeatAndSplitAtCommas() throws {
    let line = try invocation(
        "add", "bot", "--skills", "browser,github", "--skills=weather", "-l", "a=1,2", "-lb=3")
    #expect(line.values("skills") == ["browser", "github", "weather"])
    #expect(line.values("label") == ["a=1,2", "b=3"])
    #expect(try invocation("add", "bot").values("skills") == [])
}

@Test func twoDashesEndTheOptions() throws {
    #expect(try invocation("add", "--", "--help").required("name") == "--help")
    #expect(try invocation("dev", "--", "down").argument("image") == "down")
}

@Test func aDashAloneAndNegativeNumbersAreValues() throws {
    #expect(try invocation("dev", "-").argument("image") == "-")
    #expect(try invocation("dev", "--name", "-5").value("name") == "-5")
    #expect(try invocation("dev", "--name=-x").value("name") == "-x")
}

@Test func theLastArgumentMayTakeAllWords() throws {
    let line = try invocation("mesh", "pair", "a", "--expires", "24h", "b", "c")
    #expect(line.arguments("peer") == ["a", "b", "c"])
    #expect(line.argument("peer") == "a")
    #expect(try line.duration("expires") == .seconds(86_400))
}

@Test func anAliasLeadsToTheCommand() throws {
    #expect(try invocation("ls", "--json").path == ["kars", "list"])
}

@Test func aCommandMayRunAndHoldOthers() throws {
    #expect(try invocation("dev").path == ["kars", "dev"])
    #expect(try invocation("dev", "image.tar").argument("image") == "image.tar")
    #expect(try invocation("dev", "down", "--keep").flag("keep"))
}

@Test func theCommandLineOutranksTheEnvironmentAndThatTheDefault() throws {
    let environment = ["KARS_RELAY_LISTEN": "0.0.0.0:1"]
    #expect(try invocation("relay", "--cert", "c").value("listen") == "127.0.0.1:8443")
    #expect(try !invocation("relay", "--cert", "c").isGiven("listen"))
    let outside = try invocation("relay", "--cert", "c", environment: environment)
    #expect(outside.value("listen") == "0.0.0.0:1")
    #expect(outside.isGiven("listen"))
    #expect(outside.environment == environment)
    let both = try invocation("relay", "--cert", "c", "--listen", "[::1]:2", environment: environment)
    #expect(both.value("listen") == "[::1]:2")
}

@Test(arguments: [("1", true), ("yes", true), ("ON", true), ("0", false), ("false", false), ("", false)])
func aFlagReadsItsVariable(_ text: String, _ isOn: Bool) throws {
    #expect(try invocation("list", environment: ["KARS_JSON": text]).flag("json") == isOn)
}

@Test func theVersionIsPrintedAlone() {
    #expect(printed("--version") == "1.2.3\n")
    #expect(printed("-V") == "1.2.3\n")
    #expect(message(["list", "--version"]) == "kars list: unknown flag --version (see 'kars list --help')")
}

@Test func hiddenCommandsWorkUnseen() throws {
    #expect(try invocation("secret").path == ["kars", "secret"])
    for text in [printed("--help"), ReferencePage(sample).text]
        + CompletionScript.Shell.allCases.map({ CompletionScript(sample, for: $0).text })
    {
        #expect(!text.contains("secret"))
        #expect(!text.contains("operator"))
    }
}

@Test func theSampleDoesNotContradictItself() {
    #expect(sample.contradictions == [])
}

@Test func contradictionsAreNamed() {
    let program = CommandLineProgram(
        name: "p", version: "1", summary: "A program",
        commands: [
            Command("a", summary: "Ends with a stop."),
            Command(
                "b", aliases: ["a"], summary: "B",
                arguments: [Argument("x", help: "X", isOptional: true), Argument("y", help: "Y")],
                options: [
                    .flag("one", short: "h", help: "One", conflicts: ["two"]),
                    .value("n", "n", kind: .integer(1...2), help: "N", defaultValue: "3"),
                ], laterOptions: ["--one"], run: { _ in }),
        ], later: ["b"])
    #expect(
        program.contradictions == [
            "p: 'a' names two commands", "p: 'b' names two commands",
            "p a: the summary is a phrase without full stop",
            "p a: the command neither runs nor holds commands",
            "p b: 'h' names two options", "p b: 'one' names two options",
            "p b: --one excludes --two, which is unknown",
            "p b: the default of --n wants a whole number from 1 to 2, not '3'",
            "p b: <y> is needed but follows the optional <x>",
        ])
}
