/// A repair that an agent proposes and a person approves (resources §14).
public struct KarsSREActionSpec: CustomResourceSpec {
    public static let resource = KubernetesResource.karsSREActions

    public enum ActionType: String, ClosedChoice {
        case deleteResourceQuota = "DeleteResourceQuota"
        case patchDeploymentImage = "PatchDeploymentImage"
        case scaleDeployment = "ScaleDeployment"
        case rolloutRestart = "RolloutRestart"
        case deletePod = "DeletePod"
    }

    public struct Action: Codable, Sendable, Equatable {
        public var type: ActionType
        /// An object; which members it has depends on the type.
        public var params: JSONValue
    }

    public enum ApprovalState: String, ClosedChoice {
        case pending = "Pending"
        case approved = "Approved"
        case rejected = "Rejected"
    }

    public struct Approval: Codable, Sendable, Equatable {
        public var state: ApprovalState
        public var note: String?
    }

    public var action: Action
    public var approval: Approval
    public var diagnosis: String?
    public var rationale: String?
    /// 15 where there is none.
    public var ttlMinutes: Int64?

    public func check(_ found: inout SpecProblems) {
        found.expect(action.params.objectValue != nil, "spec.action.params", "must be an object")
        found.text(approval.note, "spec.approval.note", .length(0...512))
        found.text(diagnosis, "spec.diagnosis", .length(0...512))
        found.text(rationale, "spec.rationale", .plain(0...2048))
        found.number(ttlMinutes, "spec.ttlMinutes", 1...60)
    }
}
