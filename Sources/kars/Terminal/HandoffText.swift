import CommandTree
import MeshNode

/// How moves look to a person.
enum HandoffText {
    /// What happens in a phase.
    static func step(_ progress: HandoffProgress) -> String {
        switch progress.phase {
        case .copying: "copying the workspace while the agent serves"
        case .freezing: "holding requests while the last difference moves"
        case .committing: "recording the new home"
        case .starting: "starting the agent at \(progress.peer)"
        case .complete: "complete"
        case .aborted: "aborted"
        }
    }

    /// What a move would do.
    static func plan(_ plan: PlanHandoff.Answer) -> String {
        var rows = [
            ("Sandbox", plan.sandbox), ("To", plan.peer),
            ("Workspace", "\(plan.files) files, \(size(plan.bytes))"),
            (
                "To send",
                plan.hasOlderCopy ? "what differs from the older copy there" : "all of it"
            ),
        ]
        rows.append(
            ("Last freeze", plan.lastFreezeMilliseconds.map { "\(decimal($0)) ms" } ?? "unknown until it has moved once"))
        return kars.facts(rows) + "Nothing was changed; \(plan.peer) would take it.\n"
    }

    /// How a move ended well.
    static func result(_ progress: HandoffProgress) -> String {
        let place = progress.direction == "in" ? "here" : "at \(progress.peer)"
        var line = "\(progress.sandbox) lives \(place) now; \(size(progress.movedBytes)) moved"
        if let freeze = progress.freezeMilliseconds { line += ", frozen for \(decimal(freeze)) ms" }
        return line
    }

    static func facts(_ progress: HandoffProgress) -> String {
        var rows = [
            ("Sandbox", progress.sandbox), ("Phase", progress.phase.rawValue),
            ("Peer", progress.peer), ("Direction", progress.direction),
            ("Started", shown(progress.startedAt)), ("Updated", shown(progress.updatedAt)),
            (
                "Workspace",
                "\(progress.workspaceFiles) files, \(size(progress.workspaceBytes))"
            ),
            ("Moved", size(progress.movedBytes)),
        ]
        if let freeze = progress.freezeMilliseconds { rows.append(("Frozen", "\(decimal(freeze)) ms")) }
        if let before = progress.digestBefore { rows.append(("Digest before", before)) }
        if let after = progress.digestAfter { rows.append(("Digest after", after)) }
        if let root = progress.root { rows.append(("Workspace root", root)) }
        if let error = progress.error { rows.append(("Error", PrintableText.escaped(error))) }
        return kars.facts(rows)
    }

    /// Bytes in the largest unit that keeps the number at 1 or more.
    static func size(_ bytes: Int) -> String {
        var number = Double(bytes)
        for unit in ["bytes", "KiB", "MiB", "GiB"] {
            if number < 1024 { return unit == "bytes" ? "\(bytes) bytes" : "\(decimal(number)) \(unit)" }
            number /= 1024
        }
        return "\(decimal(number)) TiB"
    }

    /// A number with one digit after the point.
    static func decimal(_ number: Double) -> String {
        let tenths = (number * 10).rounded()
        guard let whole = Int(exactly: tenths) else { return "\(number)" }
        return "\(whole / 10).\(abs(whole % 10))"
    }
}
