import Foundation
import TestSupport

@testable import Resources

/// Kubeconfigs and programs in a folder of their own.
struct Kubeconfigs {
    let folder = TemporaryFolder()

    @discardableResult
    func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
        let path = folder.file(name)
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    /// One context "c" with a cluster and a user of these fields, each a flow map's inside.
    @discardableResult
    func one(cluster: String = "server: 'https://127.0.0.1:1'", user: String = "token: t") throws -> String {
        try write(
            "config",
            """
            apiVersion: v1
            kind: Config
            current-context: c
            clusters: [{name: k, cluster: {\(cluster)}}]
            users: [{name: u, user: {\(user)}}]
            contexts: [{name: c, context: {cluster: k, user: u, namespace: home}}]
            """)
    }

    /// A credential plug-in: a script.
    @discardableResult
    func plugin(_ body: String) throws -> String { try write("bin/plugin", "#!/bin/sh\n\(body)\n", mode: 0o700) }

    func load(
        _ environment: [String: String] = [:], context: String? = nil, file: String? = nil
    ) throws(KubernetesError) -> KubernetesConfiguration {
        try KubernetesConfiguration.load(
            environment: ["HOME": folder.path, "PATH": folder.file("bin") + ":/usr/bin:/bin"].merging(environment) { $1 },
            context: context, file: file ?? (environment["KUBECONFIG"] == nil ? folder.file("config") : nil),
            serviceAccount: folder.file("account"))
    }
}
