import Testing

@testable import Resources

@Suite struct KubernetesObjectTests {
    @Test func aNewObjectSaysWhatItIs() {
        let object = KubernetesObject(
            .deployments, name: "a", namespace: "n", labels: ["x": "y"], annotations: ["kars.azure.com/z": "w"])
        #expect(
            object.json == [
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": [
                    "name": "a", "namespace": "n", "labels": ["x": "y"], "annotations": ["kars.azure.com/z": "w"],
                ],
            ])
        #expect(object.key.description == "n/a" && object.uid == nil && !object.isBeingDeleted)
    }

    @Test func fieldsAreReadAndWrittenInPlace() {
        var object = KubernetesObject([
            "metadata": [
                "name": "a", "uid": "u", "generation": 4, "resourceVersion": "9", "deletionTimestamp": "2024-01-01T00:00:00Z",
                "finalizers": ["f"], "unknown": 1,
            ],
            "status": ["phase": "Ready"],
        ])
        #expect(object.uid == "u" && object.generation == 4 && object.resourceVersion == "9" && object.isBeingDeleted)
        #expect(object.finalizers == ["f"] && object.status?["phase"] == "Ready" && object["status", "phase"] == "Ready")
        object.finalizers = []
        object.labels["x"] = "y"
        object["spec", "replicas"] = 1
        object.status = nil
        #expect(object["metadata", "finalizers"] == [])
        #expect(object.labels == ["x": "y"] && object.spec == ["replicas": 1] && object.json["status"] == nil)
        #expect(object["metadata", "unknown"] == 1)
        object.labels = [:]
        #expect(object["metadata", "labels"] == nil)
    }

    @Test func anOwnerIsNotedAndReadBack() throws {
        var owner = KubernetesObject(.karsSandboxes, name: "o")
        #expect(OwnerReference(to: owner) == nil)
        owner["metadata", "uid"] = "u"
        let reference = try #require(OwnerReference(to: owner))
        var object = KubernetesObject(.pods, name: "p")
        object.ownerReferences = [reference]
        #expect(object.ownerReferences == [reference] && reference.isController && reference.kind == "KarsSandbox")
        object.ownerReferences = []
        #expect(object["metadata", "ownerReferences"] == nil)
    }

    @Test func whatIsNoObjectIsTakenForAnEmptyOne() {
        #expect(KubernetesObject("x").json == [:])
        #expect(KubernetesObject([1]).name == "" && KubernetesObject(nil).labels == [:])
    }

    @Test func kindsKnowTheirPlace() {
        #expect(KubernetesResource.pods.apiVersion == "v1" && KubernetesResource.pods.name == "pods")
        #expect(KubernetesResource.networkPolicies.name == "networkpolicies.networking.k8s.io")
        #expect(!KubernetesResource.namespaces.isNamespaced && !KubernetesResource.trustGraphs.isNamespaced)
        #expect(Set(KubernetesResource.allKars.map(\.plural)).count == 12)
        #expect(KubernetesResource.allKars.allSatisfy { $0.apiVersion == "kars.azure.com/v1alpha1" })
    }

    @Test func aManifestHoldsObjects() throws {
        let text = """
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: a}
            ---
            apiVersion: v1
            kind: List
            items:
            - {apiVersion: v1, kind: Pod, metadata: {name: b}}
            - {apiVersion: none/v1, kind: Pod, metadata: {name: c}}
            """
        let objects = try KubernetesObject.read(manifest: Array(text.utf8))
        #expect(objects.map(\.name) == ["a", "b", "c"])
        #expect(objects.map(KubernetesResource.known) == [.deployments, .pods, nil])
        for wrong in ["kind: Pod", "a: [", "- x"] {
            #expect(throws: KubernetesError.self) { try KubernetesObject.read(manifest: Array(wrong.utf8)) }
        }
    }
}
