"""Relay and registry of the published AgentMesh library on ports that the kernel picks, until standard input ends."""

import asyncio
import json
import socket
import sys

import uvicorn

from agentmesh.registry.app import RegistryServer
from agentmesh.relay.app import RelayServer


async def main():
    ports, servers = {}, []
    for name, application in (("relay", RelayServer().app), ("registry", RegistryServer().app)):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        ports[name] = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
        servers.append((server, asyncio.create_task(server.serve(sockets=[listener]))))
    while not all(server.started for server, _ in servers):
        await asyncio.sleep(0.01)
    print(json.dumps(ports), flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await lines.read()
    for server, task in servers:
        server.should_exit = server.force_exit = True
        await task


asyncio.run(main())
