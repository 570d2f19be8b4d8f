import Sandboxes

/// Images that are being fetched for sandboxes that are yet to be made. A fetch goes on when whoever asked goes away.
actor ImageFetches {
    /// Fetches at once; more are refused.
    static let maximum = 8
    /// How long an answer waits for something new, and how often it looks.
    private static let patience = Duration.seconds(1)
    private static let interval = Duration.milliseconds(50)

    private struct Fetch {
        var progress = ImageProgress()
        var result: Result<Void, any Error>?
    }

    private let driver: any SandboxDriver
    private var fetches: [String: Fetch] = [:]

    init(driver: any SandboxDriver) { self.driver = driver }

    /// Begins to fetch an image, or looks how far it is. An end is told once.
    ///
    /// - Throws: the driver's error when it cannot be had.
    func look(_ image: String) async throws -> FetchImage.Answer {
        if fetches[image] == nil { try begin(image) }
        let before = fetches[image]?.progress
        let deadline = ContinuousClock.now + Self.patience
        while let fetch = fetches[image] {
            if let result = fetch.result {
                fetches[image] = nil
                try result.get()
                return FetchImage.Answer(isHere: true, progress: fetch.progress)
            }
            if fetch.progress != before || ContinuousClock.now >= deadline {
                return FetchImage.Answer(isHere: false, progress: fetch.progress)
            }
            try await Task.sleep(for: Self.interval)
        }
        // Another who asked for the same was told its end; the next question finds it here, or begins anew.
        return FetchImage.Answer(isHere: false, progress: before ?? ImageProgress())
    }

    private func begin(_ image: String) throws {
        // Ends that nobody asked for.
        fetches = fetches.filter { $0.value.result == nil }
        guard fetches.count < Self.maximum else {
            throw OperationFailure(
                .conflict, "\(Self.maximum) images are being fetched already",
                hint: "try again when one of them is here")
        }
        fetches[image] = Fetch()
        Task {
            let (progress, sink) = AsyncStream.makeStream(of: ImageProgress.self, bufferingPolicy: .bufferingNewest(1))
            let work = Task { [driver] in
                defer { sink.finish() }
                try await driver.fetchImage(image) { sink.yield($0) }
            }
            for await step in progress { fetches[image]?.progress = step }
            fetches[image]?.result = await work.result
        }
    }
}

extension SandboxService {
    /// Has the image of a sandbox here before that is made, and tells how far it is.
    public func fetchImage(_ request: FetchImage) async throws -> FetchImage.Answer {
        // The sandbox itself is refused then, with a better reason.
        guard driver.takesImages else { return FetchImage.Answer(isHere: true, progress: ImageProgress()) }
        do { return try await images.look(request.image) } catch let failure as OperationFailure {
            throw failure
        } catch { throw OperationFailure(wrapping: error, doing: "cannot fetch the image \(request.image)") }
    }
}
