import MeshNode
import Synchronization

/// Lets the requests of one agent through, holds them, and knows how many are under way.
///
/// Held requests go on in the order they came. `hold()` returns once nothing is under way, so the agent can
/// be frozen between two requests and never inside one.
final class Turnstile: Sendable {
    enum Refusal: Error, Equatable, CustomStringConvertible {
        /// A bound of ``GateLimits`` was reached.
        case full
        /// The request was held for too long.
        case heldTooLong
        /// The client went away meanwhile.
        case cancelled

        var description: String {
            switch self {
            case .full: "the agent is moving and too many requests wait"
            case .heldTooLong: "the agent is moving and the request has waited too long"
            case .cancelled: "the client went away"
            }
        }
    }

    private struct Held: Sendable {
        let id: UInt64
        let bytes: Int
        let continuation: CheckedContinuation<Result<AgentRoute, Refusal>, Never>
    }

    private struct State: Sendable {
        var route: AgentRoute
        var underWay = 0
        var held: [Held] = []
        var heldBytes = 0
        /// Who waits for the last request under way.
        var drained: (id: UInt64, continuation: CheckedContinuation<Bool, Never>)?
        var nextID: UInt64 = 0
    }

    private let state: Mutex<State>
    private let limits: GateLimits

    init(route: AgentRoute, limits: GateLimits) {
        state = Mutex(State(route: route))
        self.limits = limits
    }

    var route: AgentRoute { state.withLock { $0.route } }
    var heldCount: Int { state.withLock { $0.held.count } }

    /// A request's stay inside. It ends with the value, however the request ends.
    final class Passage: Sendable {
        let route: AgentRoute
        private let turnstile: Turnstile

        fileprivate init(_ turnstile: Turnstile, _ route: AgentRoute) {
            self.turnstile = turnstile
            self.route = route
        }

        deinit { turnstile.leave() }
    }

    /// Enters with a request, waiting while the agent is frozen.
    func enter(bytes: Int) async throws(Refusal) -> Passage {
        let id = state.withLock { state -> UInt64 in
            state.nextID += 1
            return state.nextID
        }
        let timer = Mutex<Task<Void, Never>?>(nil)
        let result: Result<AgentRoute, Refusal> = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Result<AgentRoute, Refusal>, Never>) in
                let mustWait = state.withLock { state -> Bool in
                    guard state.route == .held else {
                        state.underWay += 1
                        continuation.resume(returning: .success(state.route))
                        return false
                    }
                    guard state.held.count < limits.heldRequests,
                        state.heldBytes + bytes <= limits.heldBytes
                    else {
                        continuation.resume(returning: .failure(.full))
                        return false
                    }
                    state.held.append(Held(id: id, bytes: bytes, continuation: continuation))
                    state.heldBytes += bytes
                    return true
                }
                guard mustWait else { return }
                timer.withLock {
                    $0 = Task {
                        guard (try? await Task.sleep(for: limits.holdTime)) != nil else { return }
                        refuse(id, .heldTooLong)
                    }
                }
                if Task.isCancelled { refuse(id, .cancelled) }
            }
        } onCancel: {
            refuse(id, .cancelled)
        }
        timer.withLock { $0?.cancel() }
        return Passage(self, try result.get())
    }

    private func refuse(_ id: UInt64, _ refusal: Refusal) {
        let held = state.withLock { state -> Held? in
            guard let index = state.held.firstIndex(where: { $0.id == id }) else { return nil }
            state.heldBytes -= state.held[index].bytes
            return state.held.remove(at: index)
        }
        held?.continuation.resume(returning: .failure(refusal))
    }

    private func leave() {
        let drained = state.withLock { state in
            state.underWay -= 1
            return state.underWay == 0 ? state.drained.take() : nil
        }
        drained?.continuation.resume(returning: true)
    }

    /// Holds new requests and waits for those under way.
    ///
    /// - Returns: false when they took longer than ``GateLimits/drainTime``, or somebody waits for them
    ///   already; the gate then still holds.
    func hold() async -> Bool {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let timer = Task {
            guard (try? await Task.sleep(for: limits.drainTime)) != nil else { return }
            let late = state.withLock { $0.drained?.id == id ? $0.drained.take() : nil }
            late?.continuation.resume(returning: false)
        }
        defer { timer.cancel() }
        return await withCheckedContinuation { continuation in
            let answer = state.withLock { state -> Bool? in
                state.route = .held
                if state.underWay == 0 { return true }
                if state.drained != nil { return false }
                state.drained = (id, continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    /// Opens the gate towards a route, first for those that waited.
    func release(to route: AgentRoute) {
        precondition(route != .held)
        let (waiting, drained) = state.withLock { state in
            state.route = route
            state.underWay += state.held.count
            state.heldBytes = 0
            defer { state.held = [] }
            return (state.held, state.drained.take())
        }
        // Nothing is held any more: a hold that still waits has failed.
        drained?.continuation.resume(returning: false)
        for held in waiting { held.continuation.resume(returning: .success(route)) }
    }
}
