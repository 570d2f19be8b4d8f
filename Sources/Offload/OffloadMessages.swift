import FoundationEssentials
import Handoff
import MeshIdentity
import MeshNode

// What a peer asks of the one that works for it, inside their end-to-end session. The requester asks for everything;
// the host only answers, so it needs no way back.

/// Asks a peer to work on a task. Its files follow by ``SendOffloadFiles``; a repeat changes nothing.
struct RequestOffload: PeerOperation {
    static let name = "offload.request"
    static let access = OperationAccess.paired

    let id: String
    let task: String
    let preferences: OffloadPreferences
    /// The encoded manifest of the files that go along.
    let files: WireBytes

    typealias Answer = OffloadStatus.Answer

    /// What a repeat of the request has in common with it.
    var digest: String { Hex.encode(SHA256Digest.hash(PeerJSON.encode(self))) }

    /// Checks all that a peer could have written.
    ///
    /// - Returns: the manifest of the files.
    /// - Throws: ``OperationFailure`` that says what is wrong.
    func check(_ limits: OffloadLimits) throws -> Manifest {
        guard OffloadRecord.isID(id) else {
            throw OperationFailure(
                .invalid, "an offload's id is 8 to 64 of a-z 0-9 -, with no dash among the first eight")
        }
        guard (1...OffloadLimits.maximumTaskBytes).contains(task.utf8.count), !task.utf8.contains(0) else {
            throw OperationFailure(.invalid, "a task is 1 to \(OffloadLimits.maximumTaskBytes) bytes of text")
        }
        guard OffloadLimits.timeouts.contains(preferences.timeout) else {
            throw OperationFailure(.invalid, "an offload takes from 1 second to 24 hours")
        }
        guard preferences.maximumTokens.map(OffloadLimits.tokens.contains) ?? true else {
            throw OperationFailure(.invalid, "an offload may spend from 1 to \(OffloadLimits.tokens.upperBound) tokens")
        }
        do {
            return try Manifest(encoded: files.bytes, limits: limits.workspace)
        } catch {
            throw OperationFailure(.invalid, "the files of the offload are refused: \(error)")
        }
    }
}

/// How an offload stands. The answer waits a while for a change.
struct OffloadStatus: PeerOperation {
    static let name = "offload.status"
    static let access = OperationAccess.owner
    static let patience = 45

    let id: String
    /// The revision that the caller knows.
    let after: Int?

    struct Answer: Codable, Sendable {
        let phase: OffloadPhase
        let message: String?
        /// Tokens it may spend.
        let allowance: Int
        let revision: Int
        /// Chunks of its files that are not here, BLAKE2b-256 each; the first of them.
        let missing: WireBytes
    }
}

/// Chunks of the files that go with a task.
struct SendOffloadFiles: PeerOperation {
    static let name = "offload.files"
    static let access = OperationAccess.owner
    static let patience = 120

    let id: String
    let chunks: [WireBytes]

    typealias Answer = Done
}

/// What the agent made of the task.
struct OffloadResult: PeerOperation {
    static let name = "offload.result"
    static let access = OperationAccess.owner

    let id: String

    typealias Answer = OffloadOutcome
}

/// Chunks of the files that the agent left: as many of those asked for, from the first on, as a message holds.
struct FetchOffloadFiles: PeerOperation {
    static let name = "offload.fetch"
    static let access = OperationAccess.owner
    static let patience = 120

    let id: String
    /// BLAKE2b-256 each.
    let chunks: WireBytes

    struct Answer: Codable, Sendable {
        let chunks: [WireBytes]
    }
}

/// Ends an offload, whatever its phase, and frees its slot; nothing of it is kept.
struct CleanUpOffload: PeerOperation {
    static let name = "offload.cleanup"
    static let access = OperationAccess.owner
    static let patience = 75

    let id: String

    typealias Answer = Done
}
