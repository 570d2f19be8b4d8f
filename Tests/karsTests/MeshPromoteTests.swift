import Foundation
import Glibc
import TestSupport
import Testing
import Transport

/// `kars mesh promote --port-forward` and `demote` with a kubectl of the test's own; with a real one and a cluster:
/// `make test-cluster`.
struct MeshPromoteTests {
    /// What a kubectl noted of how it was called.
    private struct Call {
        let pid: pid_t
        let words: String
    }

    /// A kubectl that has a registry answer at the port it is given, and notes how it was called.
    private final class World {
        let home = TemporaryFolder()
        let tools = TemporaryFolder()
        let ports: [Int]

        init() throws {
            ports = try Self.freePorts(2)
            let script = """
                #!/bin/sh
                echo "$$ $*" >> \(tools.file("asked"))
                for word; do case $word in *:[0-9]*) port=${word%%:*} ;; esac; done
                if [ -e \(tools.file("broken")) ]; then echo 'error: services "agentmesh" not found' >&2; exit 1; fi
                trap 'kill $child; wait $child; exit 0' TERM
                \(BuiltProgram.kars) registry --listen "127.0.0.1:${port:-0}" --data "\(tools.path)/$$" \
                    > "\(tools.path)/$$.out" 2>/dev/null &
                child=$!
                until grep -q listening "\(tools.path)/$$.out"; do kill -0 $child 2>/dev/null || exit 1; sleep 0.02; done
                sed 's|listening http://\\(.*\\)|Forwarding from \\1 -> 8082|' "\(tools.path)/$$.out"
                wait $child
                """
            try script.write(toFile: tools.file("kubectl"), atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: tools.file("kubectl"))
        }

        /// Ports that the kernel picked, and that are free again.
        static func freePorts(_ count: Int) throws -> [Int] {
            let sockets = (0..<count).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
            defer { for socket in sockets { Glibc.close(socket) } }
            return try sockets.map { descriptor in
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
                var length = socklen_t(MemoryLayout<sockaddr_in>.size)
                let status = withUnsafeMutablePointer(to: &address) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        bind(descriptor, $0, length) + getsockname(descriptor, $0, &length)
                    }
                }
                try #require(status == 0)
                return Int(UInt16(bigEndian: address.sin_port))
            }
        }

        private var environment: [String: String] { ["PATH": "\(tools.path):/usr/bin:/bin"] }

        var calls: [Call] {
            let text = (try? String(contentsOfFile: tools.file("asked"), encoding: .utf8)) ?? ""
            return text.split(separator: "\n").compactMap { line in
                let parts = line.split(separator: " ", maxSplits: 1)
                return pid_t(parts[0]).map { Call(pid: $0, words: String(parts[1])) }
            }
        }

        func kars(_ arguments: [String]) async throws -> ChildProcess.Output {
            try await BuiltProgram.run(arguments, home: home, environment: environment)
        }

        func promote(_ more: String...) async throws -> ChildProcess.Output {
            try await kars(
                ["mesh", "promote", "--port-forward", "--registry-port", "\(ports[0])", "--relay-port", "\(ports[1])"] + more)
        }

        func json(_ file: String) throws -> [String: Any] {
            let data = try Data(contentsOf: URL(filePath: home.file(file)))
            return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        }

        func pid(_ name: String) throws -> pid_t {
            try #require((try json("port-forward-pids.json")[name] as? Int).map(pid_t.init))
        }

        /// Ends what runs; nothing is left then.
        func close() async throws {
            _ = try await kars(["mesh", "demote", "--yes"])
            for call in calls { try await waitUntil("kubectl is gone") { !isAlive(call.pid) } }
        }
    }

    @Test func tunnelsStayOpenInTheBackgroundUntilTheyAreTakenBack() async throws {
        let world = try World()
        try #"{"region": "north", "registryMode": "local"}"#.write(
            toFile: world.home.file("context.json"), atomically: true, encoding: .utf8)
        let output = try await world.promote("--context", "prod", "-o", "json")
        #expect(output.status == 0, "\(output.err)")
        #expect(output.out.contains("http:\\/\\/localhost:\(world.ports[0])") || output.out.contains("http://localhost:\(world.ports[0])"))
        #expect(world.calls.map(\.words) == [
            "port-forward --address 127.0.0.1 --namespace agentmesh --context prod service/agentmesh-registry \(world.ports[0]):8080",
            "port-forward --address 127.0.0.1 --namespace agentmesh --context prod service/agentmesh-relay \(world.ports[1]):8765",
        ])
        let pids = try (world.pid("Registry"), world.pid("Relay"))
        #expect(isAlive(pids.0) && isAlive(pids.1))
        let context = try world.json("context.json")
        #expect(context["region"] as? String == "north")
        #expect(context["registryMode"] as? String == "global")
        #expect(context["promoteMode"] as? String == "port-forward")
        #expect(context["globalRegistryUrl"] as? String == "http://localhost:\(world.ports[0])")
        #expect(context["globalRelayUrl"] as? String == "ws://localhost:\(world.ports[1])")

        let back = try await world.kars(["mesh", "demote"])
        #expect(back.status == 0, "\(back.err)")
        #expect(back.out == "removed tunnel to the registry\nremoved tunnel to the relay\n")
        #expect(!isAlive(pids.0) && !isAlive(pids.1))
        for call in world.calls { try await waitUntil("kubectl is gone") { !isAlive(call.pid) } }
        let after = try world.json("context.json")
        #expect(after["region"] as? String == "north")
        #expect(after["registryMode"] as? String == "local")
        #expect(after["globalRegistryUrl"] == nil && after["promoteMode"] == nil)
        try await world.close()
    }

    @Test func whatWorksIsLeftAloneAndWhatDiedIsStartedAnew() async throws {
        let world = try World()
        #expect(try await world.promote().status == 0)
        let first = try (world.pid("Registry"), world.pid("Relay"))
        #expect(try await world.promote().status == 0)
        #expect(try world.pid("Registry") == first.0)
        #expect(world.calls.count == 2)
        kill(first.1, SIGKILL)
        #expect(try await world.promote().status == 0)
        #expect(try world.pid("Registry") == first.0)
        #expect(try world.pid("Relay") != first.1)
        // The kubectl that the killed tunnel left behind is not left over.
        try await waitUntil("the orphan is gone") { !isAlive(world.calls[1].pid) }
        try await world.close()
    }

    @Test func whoJoinsTheMeshFindsTheTunnelsOpenAgain() async throws {
        let world = try World()
        #expect(try await world.promote("--context", "prod").status == 0)
        let first = try world.pid("Relay")
        kill(first, SIGKILL)
        // It ends for want of a token, after it looked at the tunnels.
        let output = try await world.kars(
            ["dev", "--global-registry", "http://localhost:\(world.ports[0])", "--channels", "telegram"])
        #expect(output.status != 0)
        #expect(try world.pid("Relay") != first)
        #expect(isAlive(try world.pid("Relay")))
        #expect(world.calls.last?.words.contains("--context prod service/agentmesh-relay") == true)
        // Another context's tunnels are other tunnels.
        #expect(try await world.promote("--context", "other").status == 0)
        #expect(world.calls.suffix(2).allSatisfy { $0.words.contains("--context other") })
        try await world.close()
    }

    @Test func aKubectlThatEndsIsReplacedAtTheSamePort() async throws {
        let world = try World()
        #expect(try await world.promote().status == 0)
        kill(world.calls[0].pid, SIGTERM)
        try await waitUntil("another kubectl") { world.calls.count == 3 }
        #expect(world.calls[2].words == world.calls[0].words)
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let url = try ServiceURL(parsing: "http://127.0.0.1:\(world.ports[0])/healthz")
        try await waitUntil("it answers again") { (try? await HTTPClient(loop: loop).send(HTTPClientRequest(url: url)))?.status == 200 }
        try await world.close()
    }

    @Test func whatGoesWrongIsSaidAndNothingIsLeftOver() async throws {
        let world = try World()
        _ = FileManager.default.createFile(atPath: world.tools.file("broken"), contents: nil)
        let broken = try await world.promote()
        #expect(broken.status == 1)
        #expect(broken.err.contains(#"services "agentmesh" not found"#))
        #expect(!FileManager.default.fileExists(atPath: world.home.file("context.json")))
        try FileManager.default.removeItem(atPath: world.tools.file("broken"))

        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let stranger = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: world.ports[0]), http: { _ in .text("mine") })
        let taken = try await world.promote()
        #expect(taken.status == 1)
        #expect(taken.err.contains("port \(world.ports[0]) of this machine is taken by another program"))
        #expect(taken.err.contains("--registry-port"))
        await stranger.close()
        try await world.close()
    }

    @Test func numbersOfOtherProgramsAreNotSignalled() async throws {
        let world = try World()
        let other = try ChildProcess("/bin/sleep", ["600"])
        // As the public kars writes the file.
        try "{\"Registry\": \(other.pid), \"Relay\": \(other.pid)}".write(
            toFile: world.home.file("port-forward-pids.json"), atomically: true, encoding: .utf8)
        try #"{"registryMode": "global", "promoteMode": "port-forward"}"#.write(
            toFile: world.home.file("context.json"), atomically: true, encoding: .utf8)
        let output = try await world.kars(["mesh", "demote"])
        #expect(output.status == 0)
        #expect(output.out == "nothing was open\n")
        #expect(isAlive(other.pid))
        other.signal(SIGKILL)
        _ = await other.wait()
    }

    @Test(arguments: [
        (["mesh", "promote"], "--port-forward for this machine, or --allow-ip"),
        (["mesh", "promote", "--allow-ip", "203.0.113.9/24"], "is no address, and no range"),
        (["mesh", "promote", "--allow-ip", "everybody"], "is no address, and no range"),
        (["mesh", "promote", "--allow-ip", "203.0.113.9", "--relay-port", "1"], "--relay-port is for --port-forward"),
        (["mesh", "promote", "--port-forward", "--allow-ip", "203.0.113.9"], "--allow-ip"),
        (["mesh", "promote", "--port-forward", "--registry-port", "7", "--relay-port", "7"], "must differ"),
    ])
    func badInputIsOneLine(arguments: [String], message: String) async throws {
        let output = try await BuiltProgram.run(arguments)
        #expect(output.status == 2)
        #expect(output.out == "")
        #expect(output.err.contains(message))
    }

    @Test func aShellInAClusterIsKubectlsOnThisTerminal() async throws {
        let world = try World()
        try "#!/bin/sh\ntest -t 0 && echo \"on a terminal: $1 $2 $3 $4 $5 $6 $7 $8 $9\"; exit 7\n".write(
            toFile: world.tools.file("kubectl"), atomically: false, encoding: .utf8)
        let terminal = try BuiltProgram.onTerminal(
            ["connect", "demo", "--shell", "--context", "prod"], home: world.home,
            environment: ["PATH": "\(world.tools.path):/usr/bin:/bin"])
        try await terminal.expect(
            "on a terminal: exec --stdin --tty --namespace kars-demo --container agent --context prod")
        #expect(await terminal.wait() == 7)
        let scripted = try await world.kars(["connect", "demo", "--shell", "--context", "prod"])
        #expect(scripted.status == 2)
        #expect(scripted.err.contains("--shell needs a terminal"))
    }

    @Test func withoutKubectlItSaysSo() async throws {
        let output = try await BuiltProgram.run(["mesh", "promote", "--port-forward"], environment: ["PATH": "/nowhere"])
        #expect(output.status == 1)
        #expect(output.err.contains("kubectl is not installed"))
    }
}

/// Whether a process runs; one that only waits to be collected does not.
private func isAlive(_ pid: pid_t) -> Bool {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), let end = text.lastIndex(of: ")")
    else { return false }
    return !text[end...].hasPrefix(") Z")
}
