import Glibc

/// The patterns of a `.dockerignore`: what of a folder stays out of a build.
///
/// One pattern a line, relative to the folder, with `*`, `?` and `[…]` within a name and `**` for any folders; a folder
/// that matches takes all in it along. `!` brings back what an earlier line left out, and the last line that matches
/// decides. `#` begins a comment.
struct IgnoreRules {
    private struct Rule {
        let names: [String]
        let bringsBack: Bool
    }

    private var rules: [Rule] = []
    /// Something may be brought back, so that what is in an ignored folder has to be looked at.
    var canBringBack: Bool { rules.contains(where: \.bringsBack) }

    init(parsing text: String = "") {
        for line in text.split(whereSeparator: \.isNewline) {
            var pattern = line.drop(while: \.isWhitespace)
            while pattern.last?.isWhitespace == true { pattern.removeLast() }
            guard let first = pattern.first, first != "#" else { continue }
            let bringsBack = first == "!"
            if bringsBack { pattern.removeFirst() }
            let names = pattern.split(separator: "/").map(String.init).filter { $0 != "." }
            guard !names.isEmpty else { continue }
            rules.append(Rule(names: names, bringsBack: bringsBack))
        }
    }

    /// - Parameter path: relative to the folder, as names.
    func ignores(_ path: [String]) -> Bool {
        var isIgnored = false
        for rule in rules where rule.bringsBack == isIgnored {
            // A folder that matches stands for all in it.
            if (1...max(1, path.count)).contains(where: { Self.matches(rule.names[...], path.prefix($0)) }) {
                isIgnored = !rule.bringsBack
            }
        }
        return isIgnored
    }

    private static func matches(_ pattern: ArraySlice<String>, _ path: ArraySlice<String>) -> Bool {
        // The paths' ends that what was read of the pattern may leave over: no pattern takes more than their product.
        var ends: Set<Int> = [path.startIndex]
        for name in pattern {
            if name == "**" {
                ends = ends.min().map { Set($0...path.endIndex) } ?? []
            } else {
                ends = Set(ends.filter { $0 < path.endIndex && fnmatch(name, path[$0], 0) == 0 }.map { $0 + 1 })
            }
            if ends.isEmpty { return false }
        }
        return ends.contains(path.endIndex)
    }
}
