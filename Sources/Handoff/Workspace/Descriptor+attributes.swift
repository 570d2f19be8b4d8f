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
            let size = value.withUnsafeMutableBytes { value in
                withName(name) { LinuxCalls.fgetxattr(raw, $0, value.baseAddress, value.count) }
            }
            if size < 0 {
                if errno == ENODATA { continue }  // removed since it was listed
                throw .last
            }
            attributes.append(ExtendedAttribute(name: PathBytes(name), value: Array(value[..<size])))
        }
        return attributes.sorted { $0.name < $1.name }
    }

    /// Sets attributes and removes the old ones that are no longer there.
    func replaceAttributes(_ old: [ExtendedAttribute], by new: [ExtendedAttribute]) throws(Errno) {
        guard old != new else { return }
        for attribute in old where !new.contains(where: { $0.name == attribute.name }) {
            let status = withName(attribute.name.bytes[...]) { LinuxCalls.fremovexattr(raw, $0) }
            guard status == 0 || errno == ENODATA else { throw .last }
        }
        for attribute in new {
            precondition(attribute.name.bytes.starts(with: "user.".utf8), "validated before")
            let status = withName(attribute.name.bytes[...]) { name in
                attribute.value.withUnsafeBytes { LinuxCalls.fsetxattr(raw, name, $0.baseAddress, $0.count, 0) }
            }
            guard status == 0 else { throw .last }
        }
    }
}
