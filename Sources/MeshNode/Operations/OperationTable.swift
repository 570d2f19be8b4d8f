import Observability
import Synchronization

/// Who asks.
public enum OperationCaller: Sendable, CustomStringConvertible {
    /// The operator, over the Unix socket or in process.
    case operatorOfThisPeer
    /// The peer that made this one and runs it for its operator, as a cluster's controller does with the nodes of its
    /// pods; inside an end-to-end session with the key that this peer was started with.
    case controller(PeerIdentity)
    /// A peer inside an end-to-end session, with its active pairing when there is one.
    case peer(PeerIdentity, Pairing?)

    public var description: String {
        switch self {
        case .operatorOfThisPeer: "operator"
        case .controller(let peer), .peer(let peer, _): peer.did.text
        }
    }

    /// On this machine, so that what they do needs no place in the audit log of decisions.
    var isHere: Bool {
        if case .operatorOfThisPeer = self { true } else { false }
    }
}

/// What this peer can do, by name: finds the operation, checks the caller, runs it.
public final class OperationTable: Sendable {
    private typealias Handler = @Sendable ([UInt8], OperationCaller, StreamOpener?) async -> [UInt8]

    private struct Entry: Sendable {
        let access: OperationAccess
        let handler: Handler
    }

    private let entries = Mutex<[String: Entry]>([:])
    private let audit: @Sendable (_ caller: String, _ operation: String, _ decision: String) async -> Void
    private let isOpen: Bool

    /// Of a peer whose operator wants it to deal with no others for now.
    public static let closed = OperationFailure(
        .refused, "this peer deals with no peers elsewhere at present",
        hint: "its operator can change that: 'kars mesh peer enable'")

    /// - Parameters:
    ///   - isOpen: whether the peer deals with others than those it made itself; a refusal says so.
    ///   - audit: records a decision durably; called before the operation runs.
    public init(
        isOpen: Bool = true,
        audit: @escaping @Sendable (_ caller: String, _ operation: String, _ decision: String) async -> Void
    ) {
        self.audit = audit
        self.isOpen = isOpen
    }

    /// Adds an operation. Each name is registered once, when the node starts.
    public func register<Operation: PeerOperation>(
        _ type: Operation.Type,
        _ run: @escaping @Sendable (Operation, OperationCaller) async throws -> Operation.Answer
    ) {
        add(type) { request, caller, _ in try await run(request, caller) }
    }

    /// Adds an operation that opens a stream.
    ///
    /// - Parameter begin: decides whether the caller gets one, and returns what is then done on it. The end is written
    ///   into the audit log too: `ended`, or the code of what went wrong.
    public func register<Operation: StreamOperation>(
        stream type: Operation.Type,
        _ begin: @escaping @Sendable (Operation, OperationCaller) async throws -> StreamWork
    ) {
        add(type) { [audit] request, caller, opening in
            guard let (offer, open) = opening else {
                throw OperationFailure(.invalid, "\(Operation.name) is asked for with a stream")
            }
            let work = try await begin(request, caller)
            let (stream, answer) = try open(offer, Operation.access)
            Task {
                var result: StreamResult
                do { result = try await work(stream) } catch {
                    result = StreamResult(failure: OperationFailure(wrapping: error, doing: Operation.name))
                }
                if !caller.isHere {
                    await audit(caller.description, Operation.name + ":end", result.failure?.code.rawValue ?? "ended")
                }
                await stream.finish(result)
            }
            return answer
        }
    }

    private func add<Operation: PeerOperation>(
        _ type: Operation.Type,
        _ run: @escaping @Sendable (Operation, OperationCaller, (StreamOffer?, StreamOpener)?) async throws -> Operation.Answer
    ) {
        let entry = Entry(access: Operation.access) { bytes, caller, opener in
            guard let request = PeerJSON.decode(OperationRequest<Operation>.self, from: bytes) else {
                return Self.refusal(
                    id: PeerJSON.decode(OperationHeader.self, from: bytes)?.id ?? "",
                    .init(.invalid, "the request for \(Operation.name) is malformed"))
            }
            do {
                let answer = try await run(request.body, caller, opener.map { (request.stream, $0) })
                return PeerJSON.encode(OperationResponse(id: request.id, ok: answer))
            } catch {
                return Self.refusal(id: request.id, OperationFailure(wrapping: error, doing: Operation.name))
            }
        }
        entries.withLock {
            precondition($0[Operation.name] == nil, "\(Operation.name) is registered twice")
            $0[Operation.name] = entry
        }
    }

    /// Runs the request that `bytes` hold and returns the encoded response; never throws, because the
    /// caller always gets an answer.
    public func answer(_ bytes: [UInt8], from caller: OperationCaller) async -> [UInt8] {
        await answer(bytes, from: caller, opener: nil)
    }

    /// As ``answer(_:from:)``, of a caller that can be given a stream.
    func answer(_ bytes: [UInt8], from caller: OperationCaller, opener: StreamOpener?) async -> [UInt8] {
        guard let header = PeerJSON.decode(OperationHeader.self, from: bytes), header.v == 1,
            header.id.utf8.count <= OperationHeader.maximumIDBytes
        else {
            return Self.refusal(id: "", .init(.invalid, "the request is not a version 1 operation"))
        }
        guard let entry = entries.withLock({ $0[header.op] }) else {
            // The name is the caller's: only a part of it is kept or sent back.
            let name = String(String.UnicodeScalarView(header.op.unicodeScalars.prefix(64)))
            if !caller.isHere { await audit(caller.description, name, "denied") }
            return Self.refusal(id: header.id, .unknownOperation(name))
        }
        if let failure = objection(to: caller, entry.access, header.op) {
            await audit(caller.description, header.op, "denied")
            return Self.refusal(id: header.id, failure)
        }
        if !caller.isHere { await audit(caller.description, header.op, "allowed") }
        return await entry.handler(bytes, caller, opener)
    }

    private func objection(
        to caller: OperationCaller, _ access: OperationAccess, _ operation: String
    ) -> OperationFailure? {
        guard access != .owner, case .peer(let peer, let pairing) = caller else { return nil }
        guard let pairing, pairing.phase == .active else {
            guard isOpen else { return Self.closed }
            return OperationFailure(
                .refused, "\(peer.did) is not paired with this peer",
                hint: "make a token here with 'kars pair generate' and redeem it there")
        }
        switch access {
        case .operatorOnly:
            return OperationFailure(.refused, "\(operation) is for the operator of this peer only")
        case .capability(let needed) where !pairing.capabilities.contains(needed):
            return OperationFailure(
                .refused, "the pairing \"\(pairing.name)\" does not grant \(needed.rawValue)",
                hint: "pair again with --capabilities \(needed.rawValue)")
        case .capability, .paired, .owner: return nil
        }
    }

    private static func refusal(id: String, _ failure: OperationFailure) -> [UInt8] {
        PeerJSON.encode(OperationResponse<Done>(id: id, error: failure))
    }
}
