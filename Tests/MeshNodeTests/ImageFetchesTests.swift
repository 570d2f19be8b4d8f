import Sandboxes
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

struct ImageFetchesTests {
    /// A driver that fetches as the test tells it, and makes no sandboxes.
    private final class FetchingDriver: SandboxDriver {
        let kind = "test"
        let takesImages = true
        private typealias End = CheckedContinuation<Result<Void, SandboxError>, Never>
        private let waiting = Mutex<[String: (end: End, report: @Sendable (ImageProgress) -> Void)]>([:])
        var fetching: [String] { waiting.withLock { $0.keys.sorted() } }

        func fetchImage(
            _ name: String, report: @escaping @Sendable (ImageProgress) -> Void
        ) async throws(SandboxError) {
            let result = await withCheckedContinuation { end in waiting.withLock { $0[name] = (end, report) } }
            try result.get()
        }

        func tell(_ name: String, layers: Int) {
            var progress = ImageProgress()
            progress.layers = layers
            waiting.withLock { $0[name]?.report }?(progress)
        }

        func end(_ name: String, _ result: Result<Void, SandboxError> = .success(())) {
            waiting.withLock { $0.removeValue(forKey: name) }?.end.resume(returning: result)
        }

        private static let none = SandboxError.unknown(name: "any")
        func recover() async throws(SandboxError) {}
        func names() -> [String] { [] }
        func create(_ spec: SandboxSpec) async throws(SandboxError) { throw Self.none }
        func own(_ folder: String) throws(SandboxError) { throw Self.none }
        func prepare(_ name: String) async throws(SandboxError) { throw Self.none }
        func setCredentials(of name: String, _ files: [String: [UInt8]]) async throws(SandboxError) { throw Self.none }
        func start(_ name: String) async throws(SandboxError) { throw Self.none }
        func waitUntilReady(_ name: String, within limit: Duration) async throws(SandboxError) { throw Self.none }
        func freeze(_ name: String) async throws(SandboxError) { throw Self.none }
        func thaw(_ name: String) async throws(SandboxError) { throw Self.none }
        func stop(_ name: String, grace: Duration) async throws(SandboxError) { throw Self.none }
        func remove(_ name: String) async throws(SandboxError) { throw Self.none }
        func spec(of name: String) throws(SandboxError) -> SandboxSpec { throw Self.none }
        func state(of name: String) throws(SandboxError) -> SandboxState { throw Self.none }
        func confinement(of name: String) throws(SandboxError) -> SandboxConfinement { throw Self.none }
        func folders(of name: String) throws(SandboxError) -> SandboxFolders { throw Self.none }
        func gatewaySocket(of name: String) throws(SandboxError) -> String { throw Self.none }
        func logs(of name: String, lines: Int) throws(SandboxError) -> String { throw Self.none }
        func readLog(of name: String, _ log: SandboxLog, from start: LogStart) throws(SandboxError) -> LogPart { throw Self.none }
        func end(of name: String) throws(SandboxError) -> Task<Int32?, Never> { throw Self.none }
        func waitForExit(of name: String) async throws(SandboxError) -> Int32? { throw Self.none }
    }

    /// Looks until the image is here.
    private func wait(_ image: String, _ fetches: ImageFetches) async throws {
        while try await !fetches.look(image).isHere {}
    }

    @Test func aFetchGoesOnBetweenQuestionsAndItsEndIsTold() async throws {
        let driver = FetchingDriver()
        let fetches = ImageFetches(driver: driver)
        let first = try await fetches.look("a:1")  // nothing new within its patience
        #expect(!first.isHere && first.progress.layers == 0 && driver.fetching == ["a:1"])
        async let second = fetches.look("a:1")
        driver.tell("a:1", layers: 4)
        // Whether this word came before that question or during it, it is told at the latest by the next.
        let told = try await second.progress.layers
        #expect(told == 4 || told == 0)
        #expect(try await fetches.look("a:1").progress.layers == 4)
        driver.end("a:1")
        try await wait("a:1", fetches)
        #expect(driver.fetching.isEmpty)
    }

    @Test func aFailureIsToldOnceAndTheNextQuestionBeginsAnew() async throws {
        let driver = FetchingDriver()
        let fetches = ImageFetches(driver: driver)
        _ = try await fetches.look("a:1")
        driver.end("a:1", .failure(.engine(reason: "no such host")))
        await #expect(throws: SandboxError.self) { try await wait("a:1", fetches) }
        #expect(try await !fetches.look("a:1").isHere)
        driver.end("a:1")
        try await wait("a:1", fetches)
    }

    @Test func onlySoManyAreFetchedAtOnce() async throws {
        let driver = FetchingDriver()
        let fetches = ImageFetches(driver: driver)
        let images = (0..<ImageFetches.maximum).map { "a:\($0)" }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for image in images { group.addTask { _ = try await fetches.look(image) } }
            try await group.waitForAll()
        }
        #expect(driver.fetching == images.sorted())
        let refusal = await #expect(throws: OperationFailure.self) { _ = try await fetches.look("one-more") }
        #expect(refusal?.code == .conflict)
        // One that is here makes room, although nobody asks for it any more.
        driver.end("a:3")
        try await waitUntil("room for another") { (try? await fetches.look("one-more")) != nil }
        #expect(driver.fetching.contains("one-more"))
        for name in driver.fetching { driver.end(name) }
    }
}
