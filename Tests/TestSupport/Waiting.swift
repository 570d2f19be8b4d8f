import Foundation

public struct DeadlineExceeded: Error, CustomStringConvertible {
    public let description: String

    public init(description: String) { self.description = description }
}

/// Waits until the condition holds; throws after the deadline. The pause between looks only saves
/// processor time: nothing depends on its length.
public func waitUntil(
    _ what: String, within limit: Duration = .seconds(20),
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            throw DeadlineExceeded(description: "gave up waiting: \(what)")
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}
