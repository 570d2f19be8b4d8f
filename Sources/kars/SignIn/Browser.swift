import Glibc
import Sandboxes

/// The browser of the person at this machine.
enum Browser {
    /// Programs that know which browser a person uses; `BROWSER` comes first.
    private static let openers = ["xdg-open", "gio", "sensible-browser", "www-browser"]

    /// Opens an address, without a word on the terminal; false when nothing that opens one is installed.
    static func open(_ address: String, environment: [String: String]) -> Bool {
        let path = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":")
        let named = environment["BROWSER"].map { $0.isEmpty ? [] : [$0] } ?? []
        let hasScreen = ["DISPLAY", "WAYLAND_DISPLAY"].contains { environment[$0]?.isEmpty == false }
        for name in named + (hasScreen ? openers : []) {
            let candidates = name.contains("/") ? [name] : path.map { "\($0)/\(name)" }
            guard let program = candidates.first(where: { access($0, X_OK) == 0 }) else { continue }
            let nothing = Glibc.open("/dev/null", O_RDWR | O_CLOEXEC)
            defer { close(nothing) }
            let words = name == "gio" ? [program, "open", address] : [program, address]
            if (try? Spawn.start(words, environment: environment, descriptors: [nothing, nothing, nothing])) != nil {
                return true
            }
        }
        return false
    }
}
