import Dispatch
import Glibc
import Observability
import ReferenceAgent
import Sandboxes
import Transport

/// `kars agent [--listen HOST:PORT] [--workspace DIR]`: runs until SIGTERM or SIGINT.
func runAgent(_ arguments: [String]) -> Never {
    var listen = AgentConfiguration.defaultListen
    var workspace = AgentConfiguration.defaultWorkspace
    var rest = arguments[...]
    while let option = rest.popFirst(), let value = rest.popFirst() {
        switch option {
        case "--listen": listen = value
        case "--workspace": workspace = value
        default: exit(2)
        }
    }
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGINT)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    let logger = Logger(service: "agent")
    let configuration: AgentConfiguration
    let service: ReferenceAgentService
    do {
        configuration = AgentConfiguration(listen: try Endpoint(parsing: listen), workspace: workspace)
        service = try ReferenceAgentService(configuration: configuration, logger: logger)
    } catch {
        logger.error("\(error)")
        exit(1)
    }
    Task.detached {
        do {
            print("listening http://\(try await service.start())")
            fflush(nil)
        } catch {
            logger.error("\(error)")
            exit(1)
        }
    }
    var number: Int32 = 0
    sigwait(&signals, &number)
    let stopped = DispatchSemaphore(value: 0)
    Task.detached {
        await service.stop()
        stopped.signal()
    }
    stopped.wait()
    exit(0)
}

let arguments = Array(CommandLine.arguments.dropFirst())
switch arguments.first {
case "sandbox-init": SandboxInit.run(arguments: Array(arguments.dropFirst()))
case "agent": runAgent(Array(arguments.dropFirst()))
default: print("kars")
}
