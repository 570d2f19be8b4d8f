import Glibc

/// Calls of the C library that Swift's Glibc module does not declare.
///
/// Looked up by name once; every glibc since 2.14 has all of them, so a missing one is a broken installation and traps.
/// Signatures are those of the manual pages syncfs(2), sync_file_range(2), fstatfs(2) and xattr(7).
enum LinuxCalls {
    static let syncfs = find("syncfs", as: (@convention(c) (CInt) -> CInt).self)
    static let syncFileRange = find(
        "sync_file_range", as: (@convention(c) (CInt, Int64, Int64, CUnsignedInt) -> CInt).self)
    static let fstatfs = find(
        "fstatfs", as: (@convention(c) (CInt, UnsafeMutableRawPointer) -> CInt).self)
    static let flistxattr = find(
        "flistxattr", as: (@convention(c) (CInt, UnsafeMutableRawPointer?, Int) -> Int).self)
    static let fgetxattr = find(
        "fgetxattr",
        as: (@convention(c) (CInt, UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int) -> Int).self)
    static let fsetxattr = find(
        "fsetxattr",
        as: (@convention(c) (CInt, UnsafePointer<CChar>, UnsafeRawPointer?, Int, CInt) -> CInt).self)
    static let fremovexattr = find(
        "fremovexattr", as: (@convention(c) (CInt, UnsafePointer<CChar>) -> CInt).self)

    private static func find<Function>(_ name: String, as type: Function.Type) -> Function {
        guard let address = dlsym(nil, name) else {  // nil is RTLD_DEFAULT
            preconditionFailure("the C library has no \(name)")
        }
        return unsafeBitCast(address, to: type)
    }
}
