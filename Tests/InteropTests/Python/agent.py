"""An agent of the published AgentMesh library, for the interoperability tests.

Identity, key agreement and ratchet are the library's own; the frames around them follow the wire protocol.
Each line of standard input is a command, a JSON object with `do`; each is answered by one line, in order.
"""

import asyncio
import base64
import datetime
import hashlib
import json
import sys
import uuid

import httpx
import websockets
from nacl.signing import SigningKey

from agentmesh.encryption.channel import ChannelEstablishment, SecureChannel
from agentmesh.encryption.ratchet import EncryptedMessage, MessageHeader
from agentmesh.encryption.x3dh import PreKeyBundle, X3DHKeyManager


def b64(data):
    return base64.b64encode(data).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text):
    text = text.replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4))


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


class Agent:
    def __init__(self):
        self.key = SigningKey.generate()
        public = bytes(self.key.verify_key)
        self.public = public
        self.did = "did:mesh:" + hashlib.sha256(public).hexdigest()[:32]
        self.keys = X3DHKeyManager.from_ed25519_keys(bytes(self.key) + public, public)
        self.channels = {}
        self.answers = {}
        self.refuse = None
        self.queue = asyncio.Queue()
        self.socket = None
        self.reader = None
        self.http = httpx.AsyncClient(timeout=30)

    # Registry: plain HTTP

    def authorization(self):
        time = now()
        return {"Authorization": f"Ed25519-Timestamp {self.did} {time} {b64url(self.key.sign(time.encode()).signature)}"}

    async def do_register(self, registry):
        self.registry = registry = registry.rstrip("/")
        public, time = b64url(self.public), now()
        answer = await self.http.post(f"{registry}/v1/agents", json={
            "did": self.did, "public_key": public, "capabilities": ["test"], "metadata": {"language": "python"},
            "proof": b64url(self.key.sign((public + time).encode()).signature), "proof_timestamp": time})
        return {"status": answer.status_code, "body": answer.json(), "did": self.did, "public_key": public}

    async def do_prekeys(self, one_time=10):
        signed = self.keys.generate_signed_pre_key()
        one_time_keys = self.keys.generate_one_time_pre_keys(one_time)
        answer = await self.http.put(f"{self.registry}/v1/agents/{self.did}/prekeys", headers=self.authorization(), json={
            "identity_key": b64url(self.keys.identity_key.public_key), "identity_key_ed": b64url(self.public),
            "signed_pre_key": {"key_id": signed.key_id, "public_key": b64url(signed.key_pair.public_key),
                               "signature": b64url(signed.signature)},
            "one_time_pre_keys": [{"key_id": key.key_id, "public_key": b64url(key.key_pair.public_key)}
                                  for key in one_time_keys]})
        return {"status": answer.status_code, "body": answer.json()}

    async def do_get(self, path):
        answer = await self.http.get(f"{self.registry}{path}")
        return {"status": answer.status_code, "body": answer.json()}

    async def do_rate(self, did, score):
        answer = await self.http.post(f"{self.registry}/v1/agents/{did}/reputation", headers=self.authorization(),
                                      json={"score": score, "reason": "test"})
        return {"status": answer.status_code, "body": answer.json()}

    async def bundle(self, did):
        answer = await self.http.get(f"{self.registry}/v1/agents/{did}/prekeys")
        answer.raise_for_status()
        body = answer.json()
        signed, one_time = body["signed_pre_key"], body["one_time_pre_key"]
        return PreKeyBundle(
            identity_key=unb64(body["identity_key"]), identity_key_ed=unb64(body["identity_key_ed"]),
            signed_pre_key=unb64(signed["public_key"]), signed_pre_key_signature=unb64(signed["signature"]),
            signed_pre_key_id=signed["key_id"],
            one_time_pre_key=unb64(one_time["public_key"]) if one_time else None,
            one_time_pre_key_id=one_time["key_id"] if one_time else None)

    # Relay: a WebSocket

    async def do_connect(self, relay):
        self.socket = await websockets.connect(relay)
        time = now()
        await self.frame("connect", public_key=b64(self.public), timestamp=time,
                         signature=b64(self.key.sign(time.encode()).signature))
        self.reader = asyncio.create_task(self.read())
        return {}

    async def do_disconnect(self):
        await self.frame("disconnect")
        await self.socket.wait_closed()
        await self.reader
        return {"code": self.socket.close_code}

    async def frame(self, kind, **fields):
        await self.socket.send(json.dumps({"v": 1, "type": kind, "from": self.did, **fields}))

    async def to(self, did, kind, **fields):
        identifier = str(uuid.uuid4())
        await self.frame(kind, to=did, id=identifier, ts=now(), **fields)
        return identifier

    async def read(self):
        try:
            async for text in self.socket:
                frame = json.loads(text)
                try:
                    await self.handle(frame)
                except Exception as error:
                    await self.queue.put({"error": f"{type(error).__name__}: {error}", "type": frame.get("type")})
                if frame.get("to") == self.did and frame.get("id"):
                    await self.frame("ack", id=frame["id"])
        except websockets.ConnectionClosed:
            pass

    async def handle(self, frame):
        kind, peer = frame["type"], frame.get("from")
        if kind == "knock":
            if self.refuse:
                return await self.to(peer, "knock_reject", knock_id=frame["id"], reason=self.refuse)
            start = frame["establishment"]
            self.channels[peer] = SecureChannel.create_receiver(
                self.keys,
                ChannelEstablishment(unb64(start["ik"]), unb64(start["ek"]), start.get("otk")),
                associated_data=f"{peer}|{frame['to']}".encode())
            await self.to(peer, "knock_accept", knock_id=frame["id"])
        elif kind in ("knock_accept", "knock_reject"):
            self.answers.pop(frame["knock_id"]).set_result(frame)
        elif kind == "message":
            header = frame["header"]
            plaintext = self.channels[peer].receive(EncryptedMessage(
                MessageHeader(unb64(header["dh"]), header["pn"], header["n"]), unb64(frame["ciphertext"])))
            # Our agents open the session's other direction with a message of their own.
            if b"kars:hello" not in plaintext:
                await self.queue.put({"from": peer, "text": plaintext.decode()})
        elif kind == "error":
            await self.queue.put({"error": frame["detail"]})

    async def do_knock(self, did, form="knock", intent=None):
        """`form`: "knock" carries the key agreement as the published SDK does, "message" as the specification
        says, with the first message."""
        self.channels[did], start = SecureChannel.create_sender(
            self.keys, await self.bundle(did), associated_data=f"{self.did}|{did}".encode())
        fields = {"intent": intent or {"action": "establish_session"}}
        if form == "knock":
            fields["establishment"] = {"ik": b64(start.initiator_identity_key), "ek": b64(start.ephemeral_public_key)}
            if start.used_one_time_key_id is not None:
                fields["establishment"]["otk"] = start.used_one_time_key_id
        else:
            self.start = {"identity_key": b64url(start.initiator_identity_key),
                          "ephemeral_key": b64url(start.ephemeral_public_key),
                          "used_opk_id": start.used_one_time_key_id}
        identifier = str(uuid.uuid4())
        answer = self.answers[identifier] = asyncio.get_running_loop().create_future()
        await self.frame("knock", to=did, id=identifier, ts=now(), **fields)
        answer = await asyncio.wait_for(answer, 20)
        return {"answer": answer["type"], "reason": answer.get("reason"), "conditions": answer.get("conditions"),
                "used_one_time": start.used_one_time_key_id}

    async def do_send(self, did, texts):
        for text in texts:
            message = self.channels[did].send(text.encode())
            fields = {}
            if getattr(self, "start", None):
                fields["x3dh"], self.start = self.start, None
            await self.to(did, "message", ciphertext=b64(message.ciphertext), header={
                "dh": b64(message.header.dh_public_key), "pn": message.header.previous_chain_length,
                "n": message.header.message_number}, **fields)
        return {}

    async def do_receive(self, count=1):
        return {"messages": [await asyncio.wait_for(self.queue.get(), 20) for _ in range(count)]}

    async def do_refuse(self, reason):
        self.refuse = reason
        return {}


async def main():
    agent = Agent()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    while line := await lines.readline():
        command = json.loads(line)
        try:
            answer = await getattr(agent, "do_" + command.pop("do"))(**command)
        except Exception as error:
            answer = {"failure": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
