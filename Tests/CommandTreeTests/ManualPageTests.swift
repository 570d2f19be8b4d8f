import CommandTree
import Testing

@Test func everyCommandHasAManualPage() throws {
    let names = ManualPage.pages(of: sample).map(\.fileName)
    #expect(
        names == [
            "kars.1", "kars-add.1", "kars-handoff.1", "kars-list.1", "kars-relay.1", "kars-mesh.1",
            "kars-mesh-status.1", "kars-mesh-pair.1", "kars-dev.1", "kars-dev-down.1", "kars-help.1",
        ])
}

@Test func aManualPageLooksLikeThis() throws {
    for page in ManualPage.pages(of: sample) where ["kars.1", "kars-handoff.1"].contains(page.fileName) {
        try expectSnapshot(page.text, page.fileName)
    }
}

@Test func groffFindsNothingToWarnAbout() throws {
    guard let groff = Shell.find("groff") else { return }
    for page in ManualPage.pages(of: sample) {
        let result = try Shell.run([groff, "-man", "-Tutf8", "-ww", "-k", "-z"], input: page.text)
        #expect(result.status == 0 && result.errors.isEmpty, "\(page.fileName): \(result.errors)")
    }
}

@Test func textCannotBecomeARequest() throws {
    let program = CommandLineProgram(
        name: "p", version: "1", summary: "A program", discussion: ".so /etc/passwd\n'br \\fBx\\fR",
        commands: [])
    let page = try #require(ManualPage.pages(of: program).first)
    #expect(page.text.contains("\\&.so /etc/passwd\n\\&'br \\efBx\\efR\n"))
}

@Test func theReferencePageLooksLikeThis() throws {
    try expectSnapshot(ReferencePage(sample).text, "reference.md")
}

@Test func theReferencePageEscapesMarkup() {
    let program = CommandLineProgram(
        name: "p", version: "1", summary: "A program",
        commands: [Command("a", summary: "Either <x>|_y_", run: { _ in })])
    #expect(ReferencePage(program).text.contains("Either \\<x\\>\\|\\_y\\_."))
}
