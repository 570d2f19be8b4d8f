import Glibc

extension Descriptor {
    /// The `user.*` attributes by name; none where the file system keeps none.
    func attributes() throws(Errno) -> [ExtendedAttribute] {
        // Most files have none; asking for the length first saves the buffer.
        let length = LinuxCalls.flistxattr(raw, nil, 0)
        if length == 0 || (length < 0 && errno == ENOTSUP) { return [] }
        guard length > 0 else { throw .last }
        var list = [UInt8](repeating: 0, count: length + 1024)
        let count = list.withUnsafeMutableBytes { LinuxCalls.flistxattr(raw, $0.baseAddress, $0.count) }
        guard count >= 0 else { throw .last }
        var attributes: [ExtendedAttribute] = []
        for name in list[..<count].split(separator: 0) where name.starts(with: "user.".utf8) {
            var value = [UInt8](repeating: 0, count: 64 << 10)  // XATTR_SIZE_MAX
            let size = (Array(name) + [0]).withUnsafeBytes { name in
                value.withUnsafeMutableBytes { value in
                    name.withMemoryRebound(to: CChar.self) {
                        LinuxCalls.fgetxattr(raw, $0.baseAddress!, value.baseAddress, value.count)  // NUL-terminated
                    }
                }
            }
            if size < 0 {
                if errno == ENODATA { continue }  // removed since it was listed
                throw .last
            }
            attributes.append(ExtendedAttribute(name: PathBytes(name), value: Array(value[..<size])))
        }
        return attributes.sorted { $0.name < $1.name }
    }

    func setAttributes(_ attributes: [ExtendedAttribute]) throws(Errno) {
        for attribute in attributes {
            precondition(attribute.name.bytes.starts(with: "user.".utf8), "validated before")
            let status = (attribute.name.bytes + [0]).withUnsafeBytes { name in
                attribute.value.withUnsafeBytes { value in
                    name.withMemoryRebound(to: CChar.self) {
                        LinuxCalls.fsetxattr(raw, $0.baseAddress!, value.baseAddress, value.count, 0)  // NUL-terminated
                    }
                }
            }
            guard status == 0 else { throw .last }
        }
    }
}
