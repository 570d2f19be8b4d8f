import MeshNode

/// The giver's side of the record of decisions about an agent.
struct AuditSender: Sendable {
    let services: MoveServices

    /// Signs the record as it is and sends what the taker has not; before the freeze.
    func send(_ move: MoveRecord) async throws {
        let (audit, lineage) = (services.sandboxes.audit, move.lineage)
        let head = try await audit.seal(lineage, epoch: move.epoch, signer: services.identity)
        do {
            let end = try await services.calls.call(SendAudit(id: move.id), of: move.peer).end
            // A taker whose record is another one gets the whole.
            var sent = try await audit.has(end, of: lineage) ? end.sequence : 0
            while true {
                let rows = try await audit.rows(of: lineage, after: sent, limit: SendAudit.pieceRows)
                let last = rows.last?.sequence ?? head.sequence
                let isLast = last >= head.sequence
                let heads = rows.isEmpty ? [head] : try await audit.heads(of: lineage, in: (sent + 1)...last)
                _ = try await services.calls.call(
                    SendAudit(id: move.id, piece: AuditSegment(rows: rows, heads: heads), isLast: isLast), of: move.peer)
                if isLast { return }
                sent = last
            }
        } catch let failure as OperationFailure where failure.isUnknownOperation {
            services.logger.warn("the taker takes no record of decisions", ["move": move.id])
        }
    }

    /// This peer's own chain tells how the agent's ended when it left.
    func noteDeparture(_ move: MoveRecord) async {
        await logging(move) { audit in
            let heads = try await audit.heads(of: move.lineage, in: 0...Int(Int32.max))
            guard let head = heads.last(where: { $0.epoch == move.epoch }) else { return }
            try await audit.anchor(move.lineage, "handoff:succession", head.hash)
        }
    }

    func noteAbort(_ move: MoveRecord) async {
        await logging(move) {
            try await $0.append(
                move.lineage, agent: services.identity.did.text, action: "handoff:abort", decision: "success")
        }
    }

    private func logging(_ move: MoveRecord, _ body: (AgentAudit) async throws -> Void) async {
        do { try await body(services.sandboxes.audit) } catch {
            services.logger.error("the audit log cannot be written", ["move": move.id, "error": "\(error)"])
        }
    }
}
