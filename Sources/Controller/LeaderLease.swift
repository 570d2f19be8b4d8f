import FoundationEssentials
import Observability
import Resources

/// The one place among replicas: who holds the Lease acts, the others wait (coordination.k8s.io, as client-go's leader
/// election does it).
///
/// The holder writes a new time well before the old one is too old. Others trust no clock but their own: they take over
/// when the Lease has not changed for its whole duration since they saw it.
public final class LeaderLease: Sendable {
    /// Of the Lease.
    public static let name = "kars-mesh-peer-leader"
    private static let duration = Duration.seconds(30)
    private static let renewal = Duration.seconds(10)
    private static let look = Duration.seconds(2)

    private let client: KubernetesClient
    private let namespace: String
    private let holder: String
    private let logger: Logger

    /// - Parameter holder: who this replica is, such as its pod's name; another every time it starts.
    public init(client: KubernetesClient, namespace: String, holder: String, logger: Logger) {
        self.client = client
        self.namespace = namespace
        self.holder = holder
        self.logger = logger
    }

    /// Waits until the place is this replica's.
    public func acquire() async throws {
        var seen: (version: String, at: ContinuousClock.Instant)?
        while true {
            try Task.checkCancellation()
            do throws(KubernetesError) {
                if try await tryOnce(&seen) { return logger.info("this replica leads", ["holder": holder]) }
            } catch {
                if case .forbidden = error { throw error }
                logger.warn("the lease cannot be had yet", ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.look)
        }
    }

    private func tryOnce(
        _ seen: inout (version: String, at: ContinuousClock.Instant)?
    ) async throws(KubernetesError) -> Bool {
        guard var lease = try await client.get(.leases, Self.name, namespace: namespace) else {
            var lease = KubernetesObject(.leases, name: Self.name, namespace: namespace)
            take(&lease, transitions: 0)
            do throws(KubernetesError) { try await client.create(.leases, lease) } catch {
                if case .alreadyExists = error { return false }
                throw error
            }
            return true
        }
        let version = lease.resourceVersion ?? ""
        let other = lease["spec", "holderIdentity"]?.stringValue ?? ""
        if seen?.version != version { seen = (version, .now) }
        let isFree = other.isEmpty || other == holder || seen.map { ContinuousClock.now - $0.at > Self.duration } ?? false
        guard isFree else { return false }
        let transitions = lease["spec", "leaseTransitions"]?.intValue ?? 0
        take(&lease, transitions: transitions + (other == holder ? 0 : 1))
        do throws(KubernetesError) { try await client.replace(.leases, lease) } catch {
            // Another one was faster.
            if case .conflict = error { return false }
            throw error
        }
        return true
    }

    /// Keeps the place; returns when it is lost, and what acted by it must end then.
    public func hold() async {
        var renewed = ContinuousClock.now
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.renewal)
            do throws(KubernetesError) {
                guard var lease = try await client.get(.leases, Self.name, namespace: namespace),
                    lease["spec", "holderIdentity"]?.stringValue == holder
                else { return logger.error("another replica leads", ["holder": holder]) }
                lease["spec", "renewTime"] = .string(Self.now())
                try await client.replace(.leases, lease)
                renewed = .now
            } catch {
                logger.warn("the lease was not renewed", ["error": "\(error)"])
                // Before another one may take over.
                guard ContinuousClock.now - renewed < Self.duration - Self.renewal else { return }
            }
        }
    }

    /// Gives the place up, so that another replica need not wait.
    public func release() async {
        guard var lease = try? await client.get(.leases, Self.name, namespace: namespace),
            lease["spec", "holderIdentity"]?.stringValue == holder
        else { return }
        lease["spec", "holderIdentity"] = ""
        _ = try? await client.replace(.leases, lease)
    }

    private func take(_ lease: inout KubernetesObject, transitions: Int64) {
        let now = JSONValue.string(Self.now())
        lease["spec"] = [
            "holderIdentity": .string(holder), "leaseDurationSeconds": .int(Self.duration.components.seconds),
            "acquireTime": now, "renewTime": now, "leaseTransitions": .int(transitions),
        ]
    }

    /// A MicroTime: RFC 3339 with microseconds.
    private static func now() -> String {
        let time = Date().timeIntervalSince1970
        let whole = Date(timeIntervalSince1970: time.rounded(.down))
        let micro = String(Int((time - time.rounded(.down)) * 1_000_000))
        let text = whole.formatted(.iso8601)
        return text.dropLast() + "." + String(repeating: "0", count: 6 - micro.count) + micro + "Z"
    }
}
