/// Joins two streams: what comes on one leaves on the other.
enum StreamBridge {
    /// Carries until the far side ends it, or either breaks.
    ///
    /// - Parameters:
    ///   - near: of the one who asked this peer.
    ///   - far: of the peer that does the work.
    /// - Returns: how the far side ended.
    static func run(_ near: any PeerStream, over far: any PeerStream) async throws -> StreamResult {
        do {
            return try await withThrowingTaskGroup(of: StreamResult?.self) { group in
                group.addTask {
                    while let item = try await far.next() { try await near.send(item) }
                    return far.result ?? StreamResult()
                }
                group.addTask {
                    while let item = try await near.next() {
                        // Once the far side has ended, its result tells more than what cannot be sent to it any more.
                        do { try await far.send(item) } catch { return nil }
                    }
                    return nil
                }
                defer { group.cancelAll() }
                while let result = try await group.next() {
                    if let result { return result }
                }
                return StreamResult()
            }
        } catch {
            far.cancel(OperationFailure(wrapping: error, doing: "carrying a stream"))
            throw error
        }
    }
}
