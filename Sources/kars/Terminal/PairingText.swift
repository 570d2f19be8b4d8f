import CommandTree
import FoundationEssentials
import MeshNode

/// How pairings look in tables, and how a token is read.
enum PairingText {
    private static let maximumTokenBytes = 16 << 10

    static func table(_ pairings: [Pairing], style: TerminalStyle) -> String {
        var table = Table(header: ["NAME", "PHASE", "PEER", "ROLE", "CAPABILITIES", "SLOTS", "EXPIRES"])
        let now = Date()
        for pairing in pairings {
            table.add([
                pairing.name, pairing.phase(at: now).rawValue, pairing.peerName ?? "-",
                pairing.role.rawValue, capabilities(pairing), slots(pairing), shown(pairing.expiresAt),
            ])
        }
        return table.text(style)
    }

    static func facts(_ pairing: Pairing) -> String {
        var rows = [
            ("Name", pairing.name), ("Phase", pairing.phase(at: Date()).rawValue),
            ("Role", pairing.role.rawValue), ("Peer", pairing.peerName ?? "-"),
            ("Peer identity", pairing.peerKey?.did.text ?? "-"), ("Capabilities", capabilities(pairing)),
            ("Slots", slots(pairing)), ("Token budget", budget(pairing)),
            ("Created", shown(pairing.createdAt)), ("Expires", shown(pairing.expiresAt)),
        ]
        if let date = pairing.pairedAt { rows.append(("Paired", shown(date))) }
        if pairing.role == .issuer {
            rows.append((
                "Offloads", "\(pairing.offloadsCompleted ?? 0) completed, \(pairing.offloadsFailed ?? 0) failed"))
            if let date = pairing.lastOffloadAt { rows.append(("Last offload", shown(date))) }
            if let names = pairing.activeSandboxes, !names.isEmpty { rows.append(("Running", names.joined(separator: ", "))) }
        }
        return kars.facts(rows)
    }

    /// The token of `pair accept`: the argument, standard input for `-`, or a file.
    static func token(_ invocation: Invocation) throws(UsageError) -> String {
        switch (invocation.argument("token"), try SecretFile.read("token-file", invocation)) {
        case (nil, nil): throw .refused("give the token, - to read it from standard input, or --token-file")
        case (_?, _?): throw .conflict("<token>", "--token-file")
        case (nil, let token?): return token
        case ("-", nil): return try readStandardInput()
        case (let token?, nil): return token
        }
    }

    private static func readStandardInput() throws(UsageError) -> String {
        var text = ""
        while text.utf8.count <= maximumTokenBytes, let line = readLine() {
            text += line.trimmingWhitespace
            if !text.isEmpty { return text }
        }
        throw .refused("standard input holds no token")
    }

    /// Slots in use and slots there are; who redeemed the token knows the latter alone.
    private static func slots(_ pairing: Pairing) -> String {
        pairing.slotsUsed.map { "\($0) of \(pairing.slots) used" } ?? String(pairing.slots)
    }

    private static func budget(_ pairing: Pairing) -> String {
        pairing.role == .issuer ? "\(pairing.tokensUsed ?? 0) of \(pairing.tokenBudget) spent" : String(pairing.tokenBudget)
    }

    private static func capabilities(_ pairing: Pairing) -> String {
        pairing.capabilities.map(\.rawValue).joined(separator: ",")
    }
}
