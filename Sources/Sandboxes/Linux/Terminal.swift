import Glibc

/// A terminal made for a program in a sandbox. It never gets one of the host's own: what controls a terminal can type
/// into it.
public enum Terminal {
    /// - Returns: the side that is read and written, and the one that the program gets; both close on exec.
    public static func make() throws(SandboxError) -> (master: Int32, other: Int32) {
        let master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // unlockpt(3) and a descriptor of the other side, which the Glibc module does not show.
        let (setLock, getPeer): (UInt, UInt) = (0x4004_5431, 0x5441)
        var isLocked: Int32 = 0
        guard master >= 0, ioctl(master, setLock, &isLocked) == 0 else {
            defer { if master >= 0 { close(master) } }
            throw .lastFailure("/dev/ptmx")
        }
        let other = ioctl(master, getPeer, O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard other >= 0 else {
            defer { close(master) }
            throw .lastFailure("/dev/ptmx")
        }
        return (master, other)
    }
}
