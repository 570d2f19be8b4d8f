/// What a program built on this module says with its exit code, as the pages explain it.
enum ExitStatus {
    static let rows: [(label: String, help: String)] = [
        ("0", "Success"),
        ("1", "The operation failed or was refused"),
        ("2", "The command line was wrong; nothing was done"),
    ]
}
