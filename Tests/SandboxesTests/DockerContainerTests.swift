import Foundation
import TestSupport
import Testing

@testable import Sandboxes

struct DockerContainerTests {
    private func make(
        _ spec: SandboxSpec, image: DockerEngine.Image? = nil, memory: Bool = true, pids: Bool = true,
        cpu: Bool = true
    ) throws -> [String: Any] {
        let facts = try JSONDecoder().decode(
            DockerEngine.Facts.self,
            from: Data(#"{"MemoryLimit":\#(memory),"PidsLimit":\#(pids),"CpuCfsQuota":\#(cpu)}"#.utf8))
        let container = DockerContainer(
            spec: spec, folders: SandboxFolders(root: "/data", name: spec.name), credentials: "/dev/shm/c",
            runtime: DockerRuntime(folder: "/data/.runtime/1"), image: ("kars-sandbox:v1", image),
            owner: SandboxOwner(user: 1000, group: 1000), node: "t", facts: facts)
        return try #require(
            try JSONSerialization.jsonObject(with: JSONEncoder().encode(container)) as? [String: Any])
    }

    @Test func nothingIsGrantedThatAnAgentDoesNotNeed() throws {
        let container = try make(SandboxSpec(name: "a", environment: ["KARS_MODEL": "m"]))
        #expect(container["User"] as? String == "1000:1000")
        #expect(container["NetworkDisabled"] as? Bool == true)
        #expect(container["Hostname"] as? String == "a")
        let host = try #require(container["HostConfig"] as? [String: Any])
        #expect(host["NetworkMode"] as? String == "none" && host["Privileged"] as? Bool == false)
        #expect(host["ReadonlyRootfs"] as? Bool == true)
        #expect(host["CapDrop"] as? [String] == ["ALL"] && host["CapAdd"] == nil && host["Devices"] == nil)
        #expect(host["SecurityOpt"] as? [String] == ["no-new-privileges"])
        #expect(host["PidMode"] == nil && host["IpcMode"] as? String == "private")
        let mounts = try #require(host["Mounts"] as? [[String: Any]])
        let writable = mounts.filter { $0["ReadOnly"] as? Bool == false }.compactMap { $0["Target"] as? String }
        #expect(writable.sorted() == ["/run/kars", "/sandbox"])
        #expect(!mounts.contains { ($0["Source"] as? String)?.contains("docker.sock") == true })
        #expect((host["Tmpfs"] as? [String: String])?["/tmp"]?.contains("noexec,nosuid,nodev") == true)
        let environment = try #require(container["Env"] as? [String])
        #expect(environment.contains("KARS_MODEL=m") && environment.contains("KARS_RUNTIME_CONTRACT_VERSION=v1"))
    }

    @Test func limitsAreTheEnginesWhereItKnowsThem() throws {
        var spec = SandboxSpec(name: "a")
        spec.limits = .init(memoryBytes: 1 << 30, pids: 64, cpuPercent: 150, openFiles: 100, temporaryBytes: 4096)
        var host = try #require(try make(spec)["HostConfig"] as? [String: Any])
        #expect(host["Memory"] as? Int == 1 << 30 && host["MemorySwap"] as? Int == 1 << 30)
        #expect(host["PidsLimit"] as? Int == 64 && host["NanoCpus"] as? Int == 1_500_000_000)
        #expect((host["Tmpfs"] as? [String: String])?["/tmp"]?.hasSuffix("size=4096") == true)
        func ulimits() -> Set<String> {
            Set((host["Ulimits"] as? [[String: Any]] ?? []).compactMap { $0["Name"] as? String })
        }
        #expect(ulimits() == ["core", "nofile"])
        host = try #require(try make(spec, memory: false, pids: false, cpu: false)["HostConfig"] as? [String: Any])
        #expect(host["Memory"] == nil && host["PidsLimit"] == nil && host["NanoCpus"] == nil)
        #expect(ulimits() == ["core", "nofile", "as"])
    }

    @Test func anImageKeepsItsCommandPlaceAndPath() throws {
        let image = try JSONDecoder().decode(
            DockerEngine.Image.self,
            from: Data(
                #"{"Config":{"Entrypoint":["python"],"Cmd":["-m","agent"],"WorkingDir":"/app","Env":["PATH=/venv/bin"]}}"#.utf8))
        let container = try make(SandboxSpec(name: "a", image: "me/own:1", command: []), image: image)
        let words = try #require(container["Cmd"] as? [String])
        #expect(words.suffix(4) == ["--", "python", "-m", "agent"])
        #expect(container["WorkingDir"] as? String == "/app")
        let variables = try #require(container["Env"] as? [String])
        let names = variables.map { variable in String(variable.prefix { $0 != "=" }) }
        #expect(!names.contains("PATH") && names.contains("HOME") && names.contains("LANG"))
        let mounts = try #require((container["HostConfig"] as? [String: Any])?["Mounts"] as? [[String: Any]])
        #expect(!mounts.contains { ($0["Target"] as? String)?.hasPrefix("/etc/") == true })
        // A command of the operator's own comes first.
        let other = try make(SandboxSpec(name: "a", image: "me/own:1", command: ["/bin/x"]), image: image)
        let own = try #require(other["Cmd"] as? [String])
        #expect(own.suffix(2) == ["--", "/bin/x"])
    }

    @Test(arguments: ["", "-x", "a b", "a;b", "ä", "a\nb", String(repeating: "a", count: 256)])
    func whatIsNoImageIsRefused(_ image: String) {
        #expect(throws: SandboxError.self) { try SandboxSpec(name: "a", image: image).validate() }
    }

    @Test func aCommandMayBeLeftToAnImageAlone() throws {
        try SandboxSpec(name: "a", image: "registry.example:5000/me/own@sha256:00ff", command: []).validate()
        #expect(throws: SandboxError.self) { try SandboxSpec(name: "a", command: []).validate() }
        #expect(throws: SandboxError.self) { try SandboxSpec(name: "a", image: "i", command: ["x"]).validate() }
    }

    @Test func descriptorsTravelWithTheirFiles() throws {
        let folder = TemporaryFolder()
        let listener = try DescriptorPassing.listen(in: folder.path, name: "s")
        defer { close(listener) }
        let sender = Thread {
            let socket = accept(listener, nil, nil)
            let files = ["one", "two"].map { open(folder.file($0), O_RDWR | O_CREAT, 0o600) }
            try? DescriptorPassing.send(files, over: socket)
            for file in files + [socket] { close(file) }
        }
        sender.start()
        let (files, socket) = try DescriptorPassing.receive(from: folder.file("s"), count: 2)
        defer { for file in files + [socket] { close(file) } }
        for (file, name) in zip(files, ["one", "two"]) {
            #expect(file >= 64 && write(file, name, 3) == 3)
            #expect(try String(contentsOfFile: folder.file(name), encoding: .utf8) == name)
        }
        #expect(throws: SandboxError.self) { try DescriptorPassing.receive(from: folder.file("none"), count: 1) }
    }
}
