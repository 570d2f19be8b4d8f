import MeshNode
import Synchronization

/// What a giver has sent of a workspace, counted while it sends.
final class TransferMeter: Sendable {
    struct Reading: Sendable {
        var files = 0
        /// Bytes of all files.
        var bytes = 0
        /// Bytes of chunks sent so far.
        var moved = 0
        /// Looks at the workspace so far; each begins a round of copying.
        var round = 0
        /// Bytes of chunks this round has to send, as far as they are known, and those it has sent.
        var roundBytes = 0
        var roundMoved = 0
        var root: String?
    }

    private let state = Mutex(Reading())

    var reading: Reading { state.withLock { $0 } }

    func looked(at manifest: Manifest) {
        state.withLock {
            $0.files = manifest.entries.count
            $0.bytes = Int(manifest.totalBytes)
            $0.root = manifest.root.hex
            $0.round += 1
            $0.roundBytes = 0
            $0.roundMoved = 0
        }
    }

    func mustSend(_ bytes: Int) { state.withLock { $0.roundBytes += bytes } }

    func sent(_ bytes: Int) {
        state.withLock {
            $0.moved += bytes
            $0.roundMoved += bytes
        }
    }
}

extension HandoffProgress {
    /// Takes over what was counted.
    mutating func note(_ reading: TransferMeter.Reading) {
        guard reading.round > 0 else { return }
        workspaceFiles = reading.files
        workspaceBytes = reading.bytes
        movedBytes = reading.moved
        root = reading.root
        round = reading.round
        roundBytes = reading.roundBytes
        roundMovedBytes = reading.roundMoved
    }
}
