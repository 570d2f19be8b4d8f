import Foundation
import Glibc
import TestSupport
import Testing

/// What a supervisor such as systemd hears of services.
struct SupervisorNoticeTests {
    private let home = TemporaryFolder()

    /// A supervisor's socket; `@` before the name makes it abstract.
    private final class Supervisor {
        let descriptor: Int32

        init(_ name: String) throws {
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            var path = Array(name.utf8)
            if name.hasPrefix("@") { path[0] = 0 }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
            let length = socklen_t(2 + path.count + (name.hasPrefix("@") ? 0 : 1))
            let bound = withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
            }
            try #require(bound == 0)
        }

        deinit { close(descriptor) }

        /// The next notice; nil while there is none.
        func next() -> String? {
            var buffer = [UInt8](repeating: 0, count: 256)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
        }
    }

    @Test(arguments: [true, false])
    func aServiceTellsWhenItServesAndWhenItEnds(_ isAbstract: Bool) async throws {
        let name = isAbstract ? "@kars-test-\(UUID().uuidString)" : home.file("notify")
        let supervisor = try Supervisor(name)
        let service = try BuiltProgram.start(
            ["registry", "--listen", "127.0.0.1:0"], home: home, environment: ["NOTIFY_SOCKET": name])
        _ = try await service.line(startingWith: "listening ")
        var heard = ""
        try await waitUntil("it is ready") {
            heard += supervisor.next() ?? ""
            return heard == "READY=1\n"
        }
        service.signal(SIGTERM)
        #expect(await service.wait().status == 0)
        #expect(supervisor.next() == "STOPPING=1\n")
        #expect(supervisor.next() == nil)
    }

    @Test(arguments: ["/nowhere/at/all", "@" + String(repeating: "x", count: 200), "vsock:2:1234"])
    func aSupervisorThatIsNotThereHoldsNothingUp(_ name: String) async throws {
        let service = try BuiltProgram.start(
            ["relay", "--listen", "127.0.0.1:0"], home: home, environment: ["NOTIFY_SOCKET": name])
        _ = try await service.line(startingWith: "listening ")
        service.signal(SIGTERM)
        #expect(await service.wait().status == 0)
    }
}
