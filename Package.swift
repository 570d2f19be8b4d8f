// swift-tools-version: 6.0
import PackageDescription

/// Settings every Swift target shares.
let strict: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]

/// A module of the system, lowest first; an import only ever points down.
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

/// The tests of one module.
func tests(
    _ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []
) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.byName(name: name), "TestSupport"] + dependencies,
        resources: resources, swiftSettings: strict)
}

/// A C library of the distribution, found through pkg-config.
func systemLibrary(_ name: String, pkgConfig: String, debian package: String) -> Target {
    .systemLibrary(
        name: name, path: "Sources/System/\(name)", pkgConfig: pkgConfig,
        providers: [.apt([package])])
}

let package = Package(
    name: "kars",
    products: [
        .executable(name: "kars", targets: ["kars"]),
        .executable(name: "kars-load", targets: ["kars-load"]),
    ],
    targets: [
        systemLibrary("CSodium", pkgConfig: "libsodium", debian: "libsodium-dev"),
        systemLibrary("COpenSSL", pkgConfig: "openssl", debian: "libssl-dev"),
        systemLibrary("CWebSockets", pkgConfig: "libwebsockets", debian: "libwebsockets-dev"),
        systemLibrary("CSQLite", pkgConfig: "sqlite3", debian: "libsqlite3-dev"),
        systemLibrary("CYAML", pkgConfig: "yaml-0.1", debian: "libyaml-dev"),
        systemLibrary("CSeccomp", pkgConfig: "libseccomp", debian: "libseccomp-dev"),

        module("Observability", []),
        module("Storage", ["CSQLite"]),
        module("Transport", ["CWebSockets", "COpenSSL"]),
        module("MeshIdentity", ["CSodium", "COpenSSL", "Storage"]),
        module("EntraTokens", ["Transport", "MeshIdentity"]),
        module("Relay", ["EntraTokens", "Transport", "MeshIdentity", "Storage", "Observability"]),
        module("Registry", ["EntraTokens", "Transport", "MeshIdentity", "Storage", "Observability"]),
        module("Resources", ["Transport", "Storage", "Observability", "CYAML"]),
        module("Sandboxes", ["Transport", "Storage", "Observability", "CSeccomp"]),
        module("ReferenceAgent", ["Transport", "Storage", "Observability", "CSodium"]),
        module("MeshNode", ["Transport", "MeshIdentity", "Storage", "Observability", "Sandboxes"]),
        module("Handoff", ["MeshNode", "CSodium"]),
        module("Offload", ["MeshNode", "Handoff", "Sandboxes"]),
        module("Controller", ["MeshNode", "Resources", "Sandboxes"]),
        module("NodeDaemon", ["MeshNode", "Handoff", "Offload", "Sandboxes", "Controller", "Resources"]),
        module("CommandTree", []),
        .executableTarget(
            name: "kars",
            dependencies: ["CommandTree", "EntraTokens", "Relay", "Registry", "NodeDaemon", "ReferenceAgent", "Sandboxes", "MeshNode", "Offload", "Controller", "Resources"],
            swiftSettings: strict),
        .executableTarget(
            name: "kars-load", dependencies: ["Transport", "CommandTree"], swiftSettings: strict),

        .executableTarget(
            name: "kars-bench", dependencies: ["MeshIdentity", "CSodium"], path: "Benchmarks/kars-bench",
            swiftSettings: strict),
        .target(
            name: "BenchSupport", dependencies: ["Transport", "MeshIdentity"], path: "Benchmarks/support",
            swiftSettings: strict),
        .executableTarget(
            name: "kars-bench-relay", dependencies: ["Transport", "MeshIdentity", "BenchSupport"], path: "Benchmarks/relay",
            swiftSettings: strict),

        .executableTarget(
            name: "kars-bench-peer", dependencies: ["MeshNode", "CSodium", "BenchSupport"], path: "Benchmarks/peer",
            swiftSettings: strict),

        .executableTarget(
            name: "kars-bench-registry", dependencies: ["MeshIdentity", "BenchSupport"], path: "Benchmarks/registry",
            swiftSettings: strict),

        .target(
            name: "TestSupport", dependencies: ["Storage"], path: "Tests/TestSupport",
            swiftSettings: strict),
        .target(
            name: "MeshTestSupport", dependencies: ["TestSupport", "MeshNode", "Relay", "Registry"],
            path: "Tests/MeshTestSupport", swiftSettings: strict),
        tests("Observability", []),
        tests("Storage", []),
        tests("Transport", []),
        .target(
            name: "FuzzSupport", dependencies: ["MeshIdentity"], path: "Tests/FuzzSupport", swiftSettings: strict),
        tests("MeshIdentity", ["FuzzSupport"], resources: [.copy("Vectors")]),
        .target(
            name: "SignInSupport", dependencies: ["MeshIdentity", "Transport", "COpenSSL"], path: "Tests/SignInSupport",
            swiftSettings: strict),
        tests("Relay", ["EntraTokens", "Transport", "MeshIdentity", "SignInSupport"]),
        tests("Registry", ["EntraTokens", "Transport", "MeshIdentity", "SignInSupport"]),
        tests("Resources", ["Transport", "Observability", "COpenSSL"]),
        tests("Sandboxes", ["Transport"]),
        tests("ReferenceAgent", ["Transport"]),
        tests("MeshNode", ["Relay", "Registry", "MeshTestSupport"]),
        .testTarget(
            name: "InteropTests", dependencies: ["MeshNode", "MeshIdentity", "Transport", "TestSupport", "MeshTestSupport"],
            resources: [.copy("Python")], swiftSettings: strict),
        tests("Handoff", ["MeshNode", "Transport", "Observability"]),
        tests("Offload", ["MeshNode", "MeshIdentity", "Handoff"]),
        tests("Controller", ["MeshIdentity", "Resources"]),
        tests("NodeDaemon", ["Relay", "Registry", "Transport", "MeshIdentity", "MeshNode", "ReferenceAgent"]),
        tests("CommandTree", [], resources: [.copy("Snapshots")]),
        tests("kars", ["Transport", "MeshIdentity", "MeshNode", "Relay", "Resources", "CommandTree", "SignInSupport"]),
    ]
)
