import FoundationEssentials
import MeshIdentity
import Resources

/// Everything a sandbox has in its namespace, as objects to apply: pure, so that a test can read it.
///
/// The pod has two containers that share nothing but volumes and the loopback network. `agent` holds the agent and its
/// attendant; `node` is a peer of the mesh that runs it, keeps its workspace and answers for it. Both are user 1000, since
/// only a file's owner can restore it, but of different groups, by which `egress-guard` tells their traffic apart.
struct SandboxObjects {
    let sandbox: KarsSandbox
    let settings: ClusterSettings
    let controller: PublicKey

    static let user: Int64 = 1000
    static let agentGroup: Int64 = 1000
    static let nodeGroup: Int64 = 1001

    private var namespace: String { ClusterNames.namespace(of: sandbox.name) }
    private var selector: [String: String] {
        [ClusterNames.sandboxLabel: sandbox.name, ClusterNames.componentLabel: "sandbox"]
    }
    private var labels: [String: String] {
        selector.merging([
            "app.kubernetes.io/name": "kars", "app.kubernetes.io/component": "sandbox",
            ClusterNames.parentNamespaceLabel: settings.namespace,
        ]) { $1 }
    }

    /// The namespace and what lets the controller work in it; the rest can follow only then.
    var foundations: [(KubernetesResource, KubernetesObject)] {
        var space = KubernetesObject(
            .namespaces, name: namespace,
            labels: [
                ClusterNames.sandboxLabel: sandbox.name, "kars.azure.com/role": "sandbox", "kars.azure.com/isolated": "strict",
                "app.kubernetes.io/name": "kars", "app.kubernetes.io/component": "sandbox",
                "pod-security.kubernetes.io/enforce": "privileged", "pod-security.kubernetes.io/audit": "baseline",
                "pod-security.kubernetes.io/warn": "baseline",
            ])
        // An owner of another namespace is no owner to the garbage collector: the finalizer deletes this.
        space.annotations = ["kars.azure.com/uid": sandbox.uid]
        var binding = KubernetesObject(.roleBindings, name: ClusterNames.controllerAccount, namespace: namespace, labels: labels)
        binding["roleRef"] = [
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": .string(ClusterNames.controllerRole),
        ]
        binding["subjects"] = [
            [
                "kind": "ServiceAccount", "name": .string(ClusterNames.controllerAccount),
                "namespace": .string(settings.namespace),
            ]
        ]
        return [(.namespaces, space), (.roleBindings, binding)]
    }

    /// What is in the namespace, but for the Secret of the node, which is made once.
    var content: [(KubernetesResource, KubernetesObject)] {
        var objects: [(KubernetesResource, KubernetesObject)] = [
            (.serviceAccounts, account), (.configMaps, configuration), (.networkPolicies, networkPolicy),
            (.services, service),
        ]
        if case .claim = settings.storage { objects.append((.persistentVolumeClaims, claim)) }
        objects.append((.deployments, deployment))
        return objects
    }

    /// The Secret of the node: the key that seals its home, and the token by which it pairs with the controller.
    func secret(key: [UInt8], token: String) -> KubernetesObject {
        var secret = KubernetesObject(.secrets, name: ClusterNames.nodeSecret, namespace: namespace, labels: labels)
        secret["type"] = "Opaque"
        var data: JSONValue = [
            "kars-mesh-key": .string(Base64.encode(key)), "pairing-token": .string(Base64.encode(Array(token.utf8))),
        ]
        if let relayToken = settings.relayToken { data["relay-token"] = .string(Base64.encode(Array(relayToken.utf8))) }
        secret["data"] = data
        return secret
    }

    private var account: KubernetesObject {
        var account = KubernetesObject(.serviceAccounts, name: "sandbox", namespace: namespace, labels: labels)
        account["automountServiceAccountToken"] = false
        return account
    }

    private var configuration: KubernetesObject {
        var map = KubernetesObject(.configMaps, name: ClusterNames.settings, namespace: namespace, labels: labels)
        var data: JSONValue = [
            "passwd": "sandbox:x:1000:1000:sandbox:/sandbox:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
            "group": "sandbox:x:1000:\nnogroup:x:65534:\n",
        ]
        if let authorities = settings.authorities { data["ca.pem"] = .string(authorities) }
        map["data"] = data
        return map
    }

    private var claim: KubernetesObject {
        var claim = KubernetesObject(.persistentVolumeClaims, name: ClusterNames.claim, namespace: namespace, labels: labels)
        guard case .claim(let storageClass, let size) = settings.storage else { return claim }
        claim["spec"] = ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": .string(size)]]]
        if let storageClass { claim["spec", "storageClassName"] = .string(storageClass) }
        return claim
    }

    private var networkPolicy: KubernetesObject {
        var policy = KubernetesObject(
            .networkPolicies, name: ClusterNames.networkPolicy, namespace: namespace, labels: labels)
        let mesh: JSONValue = [
            "to": [["namespaceSelector": ["matchLabels": ["kars.azure.com/managed": "true"]]]],
            "ports": .array([8765, 8080, 8083, 8082].map { ["protocol": "TCP", "port": .int($0)] }),
        ]
        let names: JSONValue = [
            "to": [["namespaceSelector": [:], "podSelector": ["matchLabels": ["k8s-app": "kube-dns"]]]],
            "ports": [["protocol": "UDP", "port": 53], ["protocol": "TCP", "port": 53]],
        ]
        let gateway: JSONValue = [
            "from": [
                ["namespaceSelector": ["matchLabels": ["kars.azure.com/role": "sandbox"]]],
                ["namespaceSelector": ["matchLabels": ["app.kubernetes.io/name": "kars"]]],
            ],
            "ports": [["protocol": "TCP", "port": .int(ClusterNames.gatewayPort)]],
        ]
        policy["spec"] = [
            "podSelector": ["matchLabels": Self.strings(selector)], "policyTypes": ["Ingress", "Egress"],
            "ingress": [gateway], "egress": [mesh, names],
        ]
        return policy
    }

    private var service: KubernetesObject {
        var service = KubernetesObject(.services, name: sandbox.name, namespace: namespace, labels: labels)
        service["spec"] = [
            "selector": Self.strings(selector),
            "ports": [["name": "gateway", "protocol": "TCP", "port": 18789, "targetPort": .int(ClusterNames.gatewayPort)]],
        ]
        return service
    }

    // MARK: The pod

    private var deployment: KubernetesObject {
        var deployment = KubernetesObject(.deployments, name: sandbox.name, namespace: namespace, labels: labels)
        deployment["spec"] = [
            "replicas": sandbox.isSuspended ? 0 : 1, "revisionHistoryLimit": 2,
            // Two pods must never have one identity.
            "strategy": ["type": "Recreate"],
            "selector": ["matchLabels": Self.strings(selector)],
            "template": ["metadata": ["labels": Self.strings(labels)], "spec": pod],
        ]
        return deployment
    }

    private var pod: JSONValue {
        var pod: JSONValue = [
            "serviceAccountName": "sandbox", "automountServiceAccountToken": false, "enableServiceLinks": false,
            "hostname": .string(sandbox.name), "terminationGracePeriodSeconds": 30,
            "shareProcessNamespace": false,
            "securityContext": ["seccompProfile": ["type": "RuntimeDefault"]],
            "initContainers": [preparation], "containers": [agent, node], "volumes": .array(volumes),
            "tolerations": [
                ["key": .string(ClusterNames.sandboxLabel), "operator": "Equal", "value": "true", "effect": "NoSchedule"]
            ],
        ]
        if let pool = settings.nodePool { pod["nodeSelector"] = ["kars.azure.com/pool": .string(pool)] }
        return pod
    }

    private var volumes: [JSONValue] {
        let state: JSONValue
        switch settings.storage {
        case .claim: state = ["name": "state", "persistentVolumeClaim": ["claimName": .string(ClusterNames.claim)]]
        case .hostPath(let base):
            // By the object's own number: a sandbox of the same name that comes later must not find this one's state.
            state = [
                "name": "state",
                "hostPath": ["path": .string("\(base)/\(sandbox.name)-\(sandbox.uid)"), "type": "DirectoryOrCreate"],
            ]
        }
        let inMemory = ["run", "link", "secrets"].map { name -> JSONValue in
            ["name": .string(name), "emptyDir": ["medium": "Memory", "sizeLimit": "16Mi"]]
        }
        return [state] + inMemory + [
            ["name": "runtime", "emptyDir": ["sizeLimit": "512Mi"]],
            ["name": "agent-tmp", "emptyDir": ["medium": "Memory", "sizeLimit": "512Mi"]],
            ["name": "node-tmp", "emptyDir": ["medium": "Memory", "sizeLimit": "64Mi"]],
            ["name": "settings", "configMap": ["name": .string(ClusterNames.settings)]],
            // Mounted into one container, whose processes are all the node's.
            ["name": "node-secret", "secret": ["secretName": .string(ClusterNames.nodeSecret), "defaultMode": 0o444]],
        ]
    }

    /// Makes the folders that the others mount parts of, brings kars into the agent's container whatever its image holds,
    /// and closes the network to the agent. It is root with four capabilities, and gone before an agent is there.
    private var preparation: JSONValue {
        var words = ["/usr/bin/kars", "sandbox-init", "--prepare-pod", sandbox.name]
        var capabilities: JSONValue = ["CHOWN", "DAC_OVERRIDE", "FOWNER"]
        if settings.guardsEgress {
            words += ["--", "/usr/sbin/nft", "-f", "/etc/kars/egress-guard.nft"]
            capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_ADMIN"]
        }
        return [
            "name": "egress-guard", "image": .string(settings.image), "imagePullPolicy": "IfNotPresent",
            "command": .array(words.map { .string($0) }),
            "resources": ["requests": ["cpu": "50m", "memory": "64Mi"], "limits": ["memory": "256Mi"]],
            "securityContext": [
                "runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": ["drop": ["ALL"], "add": capabilities],
            ],
            "volumeMounts": [
                ["name": "state", "mountPath": "/data"], ["name": "run", "mountPath": "/mnt/run"],
                ["name": "link", "mountPath": "/mnt/link"], ["name": "secrets", "mountPath": "/mnt/secrets"],
                ["name": "runtime", "mountPath": "/mnt/runtime"],
            ],
        ]
    }

    private static func confined(group: Int64) -> JSONValue {
        [
            "runAsUser": .int(user), "runAsGroup": .int(group), "runAsNonRoot": true, "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true, "capabilities": ["drop": ["ALL"]],
        ]
    }

    private var agent: JSONValue {
        var image = settings.image
        var mounts: [JSONValue] = [
            ["name": "state", "mountPath": "/sandbox", "subPath": .string("node/sandboxes/\(sandbox.name)/workspace")],
            ["name": "run", "mountPath": "/run/kars", "subPath": "agent"],
            ["name": "link", "mountPath": "/run/kars-link", "readOnly": true],
            // By its lock the agent of a pod that is ending keeps the next one from starting.
            ["name": "state", "mountPath": "/run/kars-hold", "subPath": "hold", "readOnly": true],
            ["name": "secrets", "mountPath": "/run/secrets", "subPath": "agent", "readOnly": true],
            ["name": "runtime", "mountPath": "/opt/kars", "readOnly": true],
            ["name": "agent-tmp", "mountPath": "/tmp"],
        ]
        if case .image(let name, _) = sandbox.runtime {
            image = name
        } else {
            for file in ["passwd", "group"] {
                mounts.append([
                    "name": "settings", "mountPath": .string("/etc/" + file), "subPath": .string(file), "readOnly": true,
                ])
            }
        }
        return [
            "name": "agent", "image": .string(image), "imagePullPolicy": "IfNotPresent",
            "command": ["/opt/kars/lib/loader", "--library-path", "/opt/kars/lib", "/opt/kars/bin/kars"],
            "args": ["sandbox-init", "--attend", "/run/kars-link"],
            "workingDir": "/sandbox",
            "resources": ["requests": Self.strings(sandbox.requests), "limits": Self.strings(sandbox.limits)],
            "securityContext": Self.confined(group: Self.agentGroup), "volumeMounts": .array(mounts),
        ]
    }

    private var node: JSONValue {
        var arguments = [
            "node", "--driver", "pod", "--name", "\(settings.name)-\(sandbox.name)", "--relay", settings.relay,
            "--registry", settings.registry, "--gateway", "0.0.0.0:\(ClusterNames.gatewayPort)", "--allow-plaintext",
            "--pairing-token-file", "/run/kars-node/pairing-token",
        ]
        if settings.authorities != nil { arguments += ["--ca", "/run/kars-settings/ca.pem"] }
        if settings.relayToken != nil { arguments += ["--relay-token-file", "/run/kars-node/relay-token"] }
        var environment: [JSONValue] = [
            ["name": "KARS_HOME", "value": "/data"],
            ["name": "CREDENTIALS_DIRECTORY", "value": "/run/kars-node"],
            ["name": "KARS_POD_SANDBOX", "value": .string(sandbox.name)],
            ["name": "KARS_POD_CONTROLLER", "value": .string(Base64.encodeURL(controller.bytes))],
        ]
        if case .image(let image, let command) = sandbox.runtime {
            environment.append(["name": "KARS_POD_IMAGE", "value": .string(image)])
            let words = JSONValue.array(command.map { .string($0) })
            environment.append(["name": "KARS_POD_COMMAND", "value": .string(String(decoding: words.encode(), as: UTF8.self))])
        }
        if settings.advertisesPods {
            environment.append(["name": "POD_IP", "valueFrom": ["fieldRef": ["fieldPath": "status.podIP"]]])
            environment.append(["name": "KARS_NODE_ADVERTISE", "value": .string("http://$(POD_IP):\(ClusterNames.gatewayPort)")])
        }
        let probe: JSONValue = ["httpGet": ["path": "/healthz", "port": .int(ClusterNames.gatewayPort)], "periodSeconds": 5]
        var liveness = probe
        liveness["failureThreshold"] = 12
        return [
            "name": "node", "image": .string(settings.image), "imagePullPolicy": "IfNotPresent",
            "command": ["/usr/bin/kars"], "args": .array(arguments.map { .string($0) }), "env": .array(environment),
            "ports": [["name": "gateway", "containerPort": .int(ClusterNames.gatewayPort)]],
            "readinessProbe": probe, "livenessProbe": liveness,
            "resources": ["requests": ["cpu": "100m", "memory": "128Mi"], "limits": ["memory": "1Gi"]],
            "securityContext": Self.confined(group: Self.nodeGroup),
            "volumeMounts": [
                ["name": "state", "mountPath": "/data"],
                ["name": "run", "mountPath": .string("/data/node/sandboxes/\(sandbox.name)/run"), "subPath": "agent"],
                ["name": "link", "mountPath": "/run/kars-link"],
                ["name": "secrets", "mountPath": "/run/kars-secrets", "subPath": "agent"],
                ["name": "node-secret", "mountPath": "/run/kars-node", "readOnly": true],
                ["name": "settings", "mountPath": "/run/kars-settings", "readOnly": true],
                ["name": "node-tmp", "mountPath": "/tmp"],
            ],
        ]
    }

    private static func strings(_ values: [String: String]) -> JSONValue { .object(values.mapValues { .string($0) }) }
}
