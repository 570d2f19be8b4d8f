import CommandTree
import Foundation
import Testing

@testable import kars

/// `make docs` writes the pages anew after a change of the tree.
struct DocumentationTests {
    private let docs = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "docs")

    @Test func theReferencePageIsTheTrees() throws {
        let page = try String(contentsOf: docs.appending(path: "reference.md"), encoding: .utf8)
        #expect(page == ReferencePage(KarsProgram.program).text, "run 'make docs'")
    }

    @Test func theManualPagesAreTheTrees() throws {
        let pages = ManualPage.pages(of: KarsProgram.program)
        let folder = docs.appending(path: "man")
        for page in pages {
            let text = try String(contentsOf: folder.appending(path: page.fileName), encoding: .utf8)
            #expect(text == page.text, "run 'make docs'")
        }
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(Set(files) == Set(pages.map(\.fileName)), "run 'make docs' and remove what is left over")
    }
}
