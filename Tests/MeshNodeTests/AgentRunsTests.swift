import Testing

@testable import MeshNode

struct AgentRunsTests {
    @Test func anAgentThatKeepsEndingIsStartedLessAndLessOften() {
        var runs = AgentRuns()
        let now = runs.startedAt
        let pauses = (0..<20).map { _ in runs.pauseAfterEnd(at: now) }
        #expect(pauses.prefix(4) == [.milliseconds(200), .milliseconds(400), .milliseconds(800), .milliseconds(1_600)])
        #expect(pauses.last == .seconds(60) && pauses == pauses.sorted())
        // One that lived long begins anew.
        #expect(runs.pauseAfterEnd(at: now + .seconds(60)) == .milliseconds(100))
    }
}
