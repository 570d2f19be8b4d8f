/// Runs an operation that honours cancellation, and cancels it when its time is up.
public func withTimeout<T: Sendable>(
    seconds: Int, _ operation: @escaping @Sendable () async throws -> T
) async throws -> T {
    try await withThrowingTaskGroup(of: T.self) { group in
        group.addTask(operation: operation)
        group.addTask {
            try await Task.sleep(for: .seconds(seconds))
            throw OperationFailure(.timedOut, "no answer within \(seconds) s")
        }
        defer { group.cancelAll() }
        return try await group.next()!
    }
}
