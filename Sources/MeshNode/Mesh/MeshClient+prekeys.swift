import FoundationEssentials
import MeshIdentity

// Upkeep of the prekeys (AgentMesh wire §7): the signed one changes weekly, one-time ones are refilled.
extension MeshClient {
    static let lowOneTimePrekeys = 5
    static let fullOneTimePrekeys = 20

    /// Uploads what others need to start a session; called at every start, which is harmless.
    func publishPrekeys(now: Date = Date()) async throws {
        let upload = try await changePrekeys { prekeys in
            _ = prekeys.rotateSignedPreKeyIfDue(identity: identity, now: now)
            if prekeys.oneTimeCount < Self.fullOneTimePrekeys { _ = prekeys.refill(to: Self.fullOneTimePrekeys) }
            return prekeys.upload(identity: identity)
        }
        try await registry.upload(upload, of: identity)
    }

    func refillPrekeysIfLow() async {
        guard state.withLock({ $0.prekeys.oneTimeCount < Self.lowOneTimePrekeys }) else { return }
        do {
            try await publishPrekeys()
        } catch {
            logger.warn("prekeys could not be refilled", ["error": "\(error)"])
        }
    }

    /// Weekly rotation and old message ids; called about every hour.
    func upkeep(now: Date = Date()) async {
        do {
            try await publishPrekeys(now: now)
            try await store.forgetOldReceived()
        } catch {
            logger.warn("upkeep will be tried again", ["error": "\(error)"])
        }
    }

    /// Changes the prekeys; the private halves are on disk before anyone can use the public ones.
    private func changePrekeys<T: Sendable>(_ change: (inout PrekeyStore) -> T) async throws -> T {
        var value: T?
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            state.withLock { state in
                value = change(&state.prekeys)
                store.submitSecrets([(Self.prekeysName, state.prekeys.serialized())]) {
                    continuation.resume(with: $0)
                }
            }
        }
        return value!
    }
}
