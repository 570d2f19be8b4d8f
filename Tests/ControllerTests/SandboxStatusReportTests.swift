import FoundationEssentials
import Resources
import Testing

@testable import Controller

/// Phase and conditions as they are written.
struct SandboxStatusReportTests {
    private func time(_ condition: String, _ status: JSONValue) -> String? {
        status["conditions"]?.arrayValue?.first { $0["type"]?.stringValue == condition }?["lastTransitionTime"]?.stringValue
    }

    @Test func aConditionsTimeIsThatOfItsLastTurn() throws {
        var object = KubernetesObject(.karsSandboxes, name: "writer", namespace: "kars-system")
        let start = Date(timeIntervalSince1970: 1_000_000)
        let creating = SandboxStatusReport(.creating, reason: "Creating", message: "its pod starts")
        object["status"] = try #require(creating.merged(into: object, sandbox: nil, now: start))
        #expect(object[path: ["status", "phase"]] == "Creating")
        // The same again is nothing to write.
        #expect(creating.merged(into: object, sandbox: nil, now: start + 10) == nil)
        // Another reason, and still not ready: the time stays.
        let other = SandboxStatusReport(.creating, reason: "Creating", message: "it waits for its agent")
        object["status"] = try #require(other.merged(into: object, sandbox: nil, now: start + 20))
        #expect(time("Ready", try #require(object.status)) == start.formatted(.iso8601))
        let running = SandboxStatusReport(.running, reason: "Reconciled", message: "the agent runs", pod: "writer-1")
        object["status"] = try #require(running.merged(into: object, sandbox: nil, now: start + 30))
        let status = try #require(object.status)
        #expect(time("Ready", status) == (start + 30).formatted(.iso8601))
        #expect(time("Degraded", status) == start.formatted(.iso8601))
        #expect(status["sandboxPod"] == "writer-1")
    }

    @Test func theObstacleIsWhatTheKubeletSays() {
        var pod = KubernetesObject(.pods, name: "p")
        #expect(SandboxReconciler.obstacle(pod) == "the pod is starting")
        pod["status"] = [
            "conditions": [["type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"]]
        ]
        #expect(SandboxReconciler.obstacle(pod) == "the pod has no place: 0/1 nodes are available")
        pod["status"] = [
            "containerStatuses": [
                ["name": "agent", "state": ["waiting": ["reason": "ImagePullBackOff", "message": "no such image"]]]
            ]
        ]
        #expect(SandboxReconciler.obstacle(pod) == "the container agent is waiting: ImagePullBackOff: no such image")
    }
}
