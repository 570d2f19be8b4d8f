import CommandTree
import MeshIdentity
import MeshNode
import NodeDaemon
import Storage
import Transport

extension Command {
    /// `kars mesh reset`
    static let meshReset = Command(
        "reset", summary: "Delete this peer's identity",
        discussion: "First withdraws it from the registries that took it, because afterwards nobody can. Peers and "
            + "agents that trust the identity no longer will: the node makes a new one at its next start, and must be "
            + "registered and paired again. Stop the node first.",
        options: [
            .flag("keep-registration", help: "Leave registries as they are, such as one that is gone for good"),
            .value(
                "ca", "file", kind: .file, help: "PEM file of the authorities to trust as registry",
                defaultNote: "the system's", environment: "KARS_NODE_CA"),
            Confirmation.option,
        ],
        examples: [
            Example("kars mesh reset", "Start over with a new identity, after a question"),
            Example("kars mesh reset --keep-registration", "The same while no registry answers"),
        ],
        environment: [KarsHome.variable, PassphrasePrompt.variable], run: reset)

    private static func reset(_ invocation: Invocation) async throws {
        guard let stored = try StoredIdentity.find(invocation) else {
            throw OperationFailure(.notFound, "there is no identity to delete")
        }
        let home = try KarsHome(invocation.environment).path
        let lockPath = home + "/" + NodeConfiguration.lockName
        let lock: FileLock
        do {
            lock = try FileLock(path: lockPath)
        } catch StorageError.locked {
            throw OperationFailure(.conflict, "the node runs", hint: "stop it, then run this again")
        }
        defer { withExtendedLifetime(lock) {} }
        try Confirmation.require("Delete the identity \(stored.did) for good", invocation)
        if !invocation.flag("keep-registration") { try await withdraw(home, invocation) }
        try Keystore.reset(folder: home)
        VerificationRecord.remove(in: home)
        Registrations.remove(in: home)
        try Console.line("deleted \(stored.did); the node's next start makes and registers a new identity")
        Console.complain("Pair with other peers again: they trust the old identity only.")
    }

    /// Takes the identity back from every registry that knows it.
    ///
    /// - Throws: when one of them does not answer; nothing is deleted then.
    private static func withdraw(_ home: String, _ invocation: Invocation) async throws {
        let registries = try Registrations.known(in: home)
        guard !registries.isEmpty else { return }
        let identity = try HomeIdentity.open(
            folder: home, environment: invocation.environment,
            ask: PassphrasePrompt.isPossible ? PassphrasePrompt.ask : nil)
        let loop = try EventLoop(name: "reset")
        defer { loop.shutdown() }
        for url in registries {
            do {
                try await RegistryClient(url: url, tls: ClientTLS(caFile: invocation.value("ca")), loop: loop)
                    .unregister(identity)
            } catch let failure as OperationFailure where failure.code == .refused {
                // Such as of a revoked name, which stays taken.
                Console.complain("The registry \(url) keeps it: \(PrintableText.escaped(failure.message))")
            } catch {
                throw OperationFailure(
                    .unavailable, "the registry \(url) does not take the identity back: \(error)",
                    hint: "try again when it answers, or give --keep-registration; nothing was deleted")
            }
        }
    }
}
