import Dispatch

/// Runs work that blocks on the disk away from the loops and from Swift's own threads.
public enum DiskWork {
    private static let queue = DispatchQueue(label: "kars.disk", attributes: .concurrent)

    public static func run<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: body)) }
        }
    }
}
