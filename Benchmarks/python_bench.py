"""The published AgentMesh library at the work of kars-bench: rates by processor time, as one JSON object."""

import json
import time

from nacl.signing import SigningKey

from agentmesh.encryption.channel import SecureChannel
from agentmesh.encryption.x3dh import X3DHKeyManager

ROUND, ROUNDS = 0.05, 6


def rate(operation):
    best = 0
    for _ in range(ROUNDS):
        count, start, elapsed = 0, time.thread_time(), 0
        while elapsed < ROUND:
            for _ in range(4):
                operation()
            count += 4
            elapsed = time.thread_time() - start
        best = max(best, count / elapsed)
    return best


def manager():
    key = SigningKey.generate()
    public = bytes(key.verify_key)
    keys = X3DHKeyManager.from_ed25519_keys(bytes(key) + public, public)
    keys.generate_signed_pre_key()
    return key, keys


text = b"2027-01-15T08:00:00.000Z"
message = b"{" * 256
names = b"did:mesh:" + b"0" * 32 + b"|did:mesh:" + b"1" * 32
(key, alice), (_, bob) = manager(), manager()
one_time = bob.generate_one_time_pre_keys(1)[0]
bundle = bob.get_public_bundle(one_time.key_id)
signature = key.sign(text).signature
sender, start = SecureChannel.create_sender(alice, bundle, associated_data=names)


def respond():
    bob.one_time_pre_keys[one_time.key_id] = one_time
    return SecureChannel.create_receiver(bob, start, associated_data=names)


messages = [sender.send(message) for _ in range(100_000)]
receiver = respond()
reading = iter(messages)
print(json.dumps({
    "sign": rate(lambda: key.sign(text)),
    "verify": rate(lambda: key.verify_key.verify(text, signature)),
    "X3DH, initiator": rate(lambda: SecureChannel.create_sender(alice, bundle, associated_data=names)),
    "X3DH, responder": rate(respond),
    "ratchet, encrypt 256 bytes": rate(lambda: sender.send(message)),
    "ratchet, decrypt 256 bytes": rate(lambda: receiver.receive(next(reading))),
}))
