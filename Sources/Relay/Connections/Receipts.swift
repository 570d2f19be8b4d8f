import Synchronization
import Transport

/// Receipts of one commit: each loop is handed those of all its senders at once, so that it is woken once and the
/// store's thread meets none of them at a socket.
final class Receipts: Sendable {
    private struct Receipt: Sendable {
        let id: String
        let socket: WebSocket
    }

    /// One list for each loop. Only the store's thread adds and sends, so nobody waits for the lock.
    private let waiting = Mutex<[(loop: EventLoop, receipts: [Receipt])]>([])

    func add(id: String, to socket: WebSocket) {
        waiting.withLock { waiting in
            let receipt = Receipt(id: id, socket: socket)
            if let index = waiting.firstIndex(where: { $0.loop === socket.loop }) {
                waiting[index].receipts.append(receipt)
            } else {
                waiting.append((socket.loop, [receipt]))
            }
        }
    }

    /// Hands over what was added.
    func send() {
        let all = waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for (loop, receipts) in all {
            loop.execute {
                for receipt in receipts { receipt.socket.send(RelayFrame.receipt(id: receipt.id)) }
            }
        }
    }
}
