import FoundationEssentials
import FuzzSupport

@testable import Relay

/// Every decoder and the relay's scanner; the first byte of an input picks one.
private let decoders: [@Sendable ([UInt8]) -> Void] =
    MeshDecoders.all.map(\.decode) + [
        { bytes in bytes.withUnsafeBytes { _ = try? FrameScanner.scan($0) } }
    ]

/// Starts a corpus in the folder that `KARS_FUZZ_CORPUS` names: what each decoder takes.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafePointer<CInt>, _ arguments: UnsafeRawPointer) -> CInt {
    guard let folder = ProcessInfo.processInfo.environment["KARS_FUZZ_CORPUS"] else { return 0 }
    var seeds = MeshDecoders.all.map(\.seeds)
    // The scanner is the last one, and reads frames.
    seeds.append(seeds[0])
    for (index, inputs) in seeds.enumerated() {
        for (number, input) in inputs.enumerated() {
            try? Data([UInt8(index)] + input).write(to: URL(filePath: "\(folder)/seed-\(index)-\(number)"))
        }
    }
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let input = UnsafeBufferPointer(start: data, count: size)
    guard let first = input.first else { return 0 }
    decoders[Int(first) % decoders.count](Array(input.dropFirst()))
    return 0
}
