import FoundationEssentials
import MeshIdentity
import Resources
import Testing

@testable import Controller

/// What a sandbox has in its namespace.
struct SandboxObjectsTests {
    private static let key = Identity.generate().publicKey

    private static func object(_ change: (inout KubernetesObject) -> Void = { _ in }) -> KubernetesObject {
        var object = KubernetesObject(.karsSandboxes, name: "writer", namespace: "kars-system")
        object["metadata", "uid"] = "u-1"
        object["spec"] = [
            "runtime": ["kind": "BYO", "byo": ["image": "kars:dev", "contractVersion": "v1"]],
            "inferenceRef": ["name": "writer-inference"], "governance": ["enabled": false],
        ]
        change(&object)
        return object
    }

    private static func objects(
        _ object: KubernetesObject = object(), _ settings: ClusterSettings = settings()
    ) throws -> SandboxObjects {
        SandboxObjects(
            sandbox: try KarsSandbox(object, ownImage: "kars:dev"), settings: settings, controller: key)
    }

    private static func settings() -> ClusterSettings {
        ClusterSettings(name: "cloud", relay: "ws://relay:8765/ws", registry: "http://registry:8080")
    }

    private static func pod(_ objects: SandboxObjects) throws -> JSONValue {
        let deployment = try #require(objects.content.first { $0.0 == .deployments }).1
        return try #require(deployment[path: ["spec", "template", "spec"]])
    }

    private static func container(_ name: String, _ pod: JSONValue, of list: String = "containers") throws -> JSONValue {
        try #require(pod[list]?.arrayValue?.first { $0["name"]?.stringValue == name })
    }

    @Test func everyContainerIsConfinedAndOnlyTheFirstIsRoot() throws {
        let pod = try Self.pod(Self.objects())
        for name in ["agent", "node"] {
            let context = try #require(try Self.container(name, pod)["securityContext"])
            #expect(context["runAsUser"] == 1000)
            #expect(context["runAsGroup"] == (name == "agent" ? 1000 : 1001))
            #expect(context["runAsNonRoot"] == true)
            #expect(context["allowPrivilegeEscalation"] == false)
            #expect(context["readOnlyRootFilesystem"] == true)
            #expect(context["capabilities"] == ["drop": ["ALL"]])
        }
        let first = try Self.container("egress-guard", pod, of: "initContainers")
        #expect(first[path: ["securityContext", "capabilities", "add"]] == ["CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_ADMIN"])
        #expect(pod["automountServiceAccountToken"] == false)
        #expect(pod["shareProcessNamespace"] == false)
        #expect(pod["hostNetwork"] == nil)
        #expect(pod[path: ["securityContext", "seccompProfile", "type"]] == "RuntimeDefault")
    }

    @Test func theAgentSeesNothingOfTheNodeAndOnlyReadsWhereTheyMeet() throws {
        let pod = try Self.pod(Self.objects())
        let mounts = try #require(try Self.container("agent", pod)["volumeMounts"]?.arrayValue)
        let seen = Dictionary(uniqueKeysWithValues: mounts.map { ($0["mountPath"]?.stringValue ?? "", $0) })
        #expect(
            Set(seen.keys) == [
                "/sandbox", "/run/kars", "/run/kars-link", "/run/kars-hold", "/run/secrets", "/opt/kars", "/tmp", "/etc/passwd",
                "/etc/group",
            ])
        // Of the state its workspace alone: the rest is the node's home and store.
        #expect(seen["/sandbox"]?["subPath"] == "node/sandboxes/writer/workspace")
        for path in ["/run/kars-link", "/run/kars-hold", "/run/secrets", "/opt/kars"] { #expect(seen[path]?["readOnly"] == true) }
        #expect(!mounts.contains { $0["name"] == "node-secret" })
    }

    @Test func noSecretIsInAnArgumentOrAVariable() throws {
        var settings = Self.settings()
        settings.relayToken = "token-of-the-relay"
        let objects = try Self.objects(Self.object(), settings)
        let secret = objects.secret(key: Array("0123456789abcdef0123456789abcdef".utf8), token: "azcp_1_secret")
        for (_, object) in objects.foundations + objects.content {
            let text = String(decoding: object.encode(), as: UTF8.self)
            for word in ["azcp_1_secret", "token-of-the-relay", "0123456789abcdef"] { #expect(!text.contains(word)) }
        }
        #expect(secret[path: ["data", "pairing-token"]]?.stringValue.flatMap(Base64.decode) == Array("azcp_1_secret".utf8))
        #expect(secret[path: ["data", "relay-token"]]?.stringValue.flatMap(Base64.decode) == Array("token-of-the-relay".utf8))
    }

    @Test func whatAPodMayReachIsTheMeshAndNamesAlone() throws {
        let policy = try #require(try Self.objects().content.first { $0.0 == .networkPolicies }).1
        #expect(policy[path: ["spec", "policyTypes"]] == ["Ingress", "Egress"])
        let egress = try #require(policy[path: ["spec", "egress"]]?.arrayValue)
        #expect(egress.count == 2)
        #expect(egress.allSatisfy { $0["to"]?.arrayValue?.isEmpty == false && $0["ports"]?.arrayValue?.isEmpty == false })
        let ingress = try #require(policy[path: ["spec", "ingress"]]?.arrayValue)
        #expect(ingress.first?["ports"] == [["protocol": "TCP", "port": 18790]])
    }

    @Test func stateIsAClaimThatGoesWithTheNamespaceOrAFolderOfItsOwn() throws {
        var settings = Self.settings()
        settings.storage = .claim(storageClass: "fast", size: "3Gi")
        let claim = try #require(try Self.objects(Self.object(), settings).content.first { $0.0 == .persistentVolumeClaims }).1
        #expect(claim[path: ["spec", "storageClassName"]] == "fast")
        #expect(claim[path: ["spec", "resources", "requests", "storage"]] == "3Gi")
        settings.storage = .hostPath("/var/lib/kars/sandboxes")
        let objects = try Self.objects(Self.object(), settings)
        #expect(!objects.content.contains { $0.0 == .persistentVolumeClaims })
        // The object's own number keeps a later sandbox of the same name from finding this one's identity.
        let state = try #require(try Self.pod(objects)["volumes"]?.arrayValue?.first { $0["name"] == "state" })
        #expect(state[path: ["hostPath", "path"]] == "/var/lib/kars/sandboxes/writer-u-1")
    }

    @Test func anImageBringsItsCommandAndKarsIsBroughtToIt() throws {
        let objects = try Self.objects(
            Self.object {
                $0["spec", "runtime", "byo"] = [
                    "image": "example/agent:2", "contractVersion": "v1", "command": ["/bin/agent"], "args": ["--serve"],
                ]
            })
        let pod = try Self.pod(objects)
        #expect(try Self.container("agent", pod)["image"] == "example/agent:2")
        let node = try Self.container("node", pod)
        #expect(node["image"] == "kars:dev")
        let environment = try #require(node["env"]?.arrayValue)
        #expect(environment.contains(["name": "KARS_POD_COMMAND", "value": #"["/bin/agent","--serve"]"#]))
    }

    @Test func aSuspendedSandboxHasNoPod() throws {
        let objects = try Self.objects(Self.object { $0["spec", "suspended"] = true })
        let deployment = try #require(objects.content.first { $0.0 == .deployments }).1
        #expect(deployment[path: ["spec", "replicas"]] == 0)
        #expect(deployment[path: ["spec", "strategy", "type"]] == "Recreate")
    }

    @Test(arguments: [
        ("Writer", "named by"), (String(repeating: "a", count: 59), "named by"), ("-a", "named by"), ("system", "named by"),
    ])
    func namesThatNoNamespaceCanHaveAreRefused(name: String, reason: String) {
        do throws(KarsSandbox.Invalid) {
            _ = try KarsSandbox(Self.object { $0.name = name }, ownImage: "kars:dev")
            Issue.record("\(name) was taken")
        } catch { #expect(error.reason.contains(reason)) }
    }

    @Test func specificationsThatCannotBeFollowedSayWhy() {
        let changes: [(String, (inout KubernetesObject) -> Void)] = [
            ("runtime.kind is missing", { $0["spec", "runtime"] = [:] }),
            ("OpenClaw has no adapter", { $0["spec", "runtime"] = ["kind": "OpenClaw", "openclaw": [:]] }),
            ("runtime.byo.image is missing", { $0["spec", "runtime", "byo", "image"] = nil }),
            ("contractVersion must be v1", { $0["spec", "runtime", "byo", "contractVersion"] = "v2" }),
            ("command must begin", { $0["spec", "runtime", "byo", "image"] = "other:1" }),
            ("confidential is not in this version", { $0["spec", "sandbox"] = ["isolation": "confidential"] }),
            ("valueFrom", { $0["spec", "runtime", "byo", "env"] = [["name": "A", "valueFrom": [:]]] }),
        ]
        for (reason, change) in changes {
            do throws(KarsSandbox.Invalid) {
                _ = try KarsSandbox(Self.object(change), ownImage: "kars:dev")
                Issue.record("taken, and should not be: \(reason)")
            } catch { #expect(error.reason.contains(reason)) }
        }
    }
}
