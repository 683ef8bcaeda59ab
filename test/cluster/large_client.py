"""A program in another language: one inference with a large tensor by reference, in chunks, written from contract.md alone.

usage: large_client.py CONTEXT-FILE MODEL DTYPE SHAPE < BYTES     SHAPE is like 1,640,640; BYTES are the elements, C order

Prints one JSON document: the reply, how many times bytes were asked for, how many were sent, and whether they were confirmed.
"""

import json
import secrets
import socket
import sys
import zlib
from urllib.parse import urlsplit

import msgpack

CHUNK = 1 << 20
WINDOW = 8 << 20


class Connection:
    """The NATS client protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol"""

    def __init__(self, url, user, password):
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=60)
        self.stream = self.socket.makefile("rb")
        info = json.loads(self.line().removeprefix("INFO "))
        self.chunk = min(CHUNK, info["max_payload"] - 1024)
        options = {"verbose": False, "pedantic": True, "headers": True, "lang": "python", "version": "0"}
        self.send(f"CONNECT {json.dumps({**options, 'user': user, 'pass': password})}\r\nPING\r\n".encode())
        assert self.line() == "PONG"

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        return self.stream.readline().decode().rstrip("\r\n")

    def publish(self, subject, payload, reply_to=""):
        self.send(f"PUB {subject} {reply_to} {len(payload)}\r\n".encode() + payload + b"\r\n")

    def publish_chunk(self, subject, offset, chunk):
        headers = f"NATS/1.0\r\nDriftmend-Offset: {offset}\r\n\r\n".encode()
        self.send(f"HPUB {subject} {len(headers)} {len(headers) + len(chunk)}\r\n".encode() + headers + chunk + b"\r\n")

    def messages(self):
        while True:
            line = self.line()
            if line == "PING":
                self.send(b"PONG\r\n")
            elif line.startswith(("MSG ", "HMSG ")):
                words = line.split(" ")
                data = self.stream.read(int(words[-1]))
                self.stream.read(2)
                if words[0] == "HMSG":
                    data = data[int(words[-2]) :]
                yield words[1], data
            elif line == "" or line.startswith("-ERR"):
                raise SystemExit(f"the server said {line!r}")


def main():
    context_file, model, dtype, shape = sys.argv[1:]
    with open(context_file, encoding="utf-8") as file:
        context = json.load(file)
    client = context["users"]["client"]
    connection = Connection(context["natsUrl"], client["user"], client["password"])
    data = sys.stdin.buffer.read()

    # Replies come to one subject, what is said about the tensor to another, both under the client's own inbox.
    inbox = f"_INBOX.{client['user']}.{secrets.token_hex(8)}"
    ask, reply_to = f"{inbox}.tensor", f"{inbox}.reply"
    connection.send(f"SUB {inbox}.* 1\r\n".encode())

    tensor_id = secrets.token_hex(16)
    ref = {"id": tensor_id, "n": len(data), "crc": zlib.crc32(data), "ask": ask}
    tensor = {"v": 1, "dt": dtype, "sh": [int(size) for size in shape.split(",")], "ref": ref}
    request = {"v": 1, "input": tensor, "id": f"python-{tensor_id[:8]}", "deadlineMs": 60000}
    connection.publish(f"{context['cluster']}.infer.{model}", msgpack.packb(request), reply_to)

    said = {"pulls": 0, "sent": 0, "confirmed": False}
    for subject, payload in connection.messages():
        message = msgpack.unpackb(payload)
        if subject == reply_to:
            json.dump({**said, "reply": message}, sys.stdout)
            return
        if message["id"] != tensor_id:
            continue
        if message["kind"] == "confirm":
            said["confirmed"] = True
        if message["kind"] == "pull":
            # Without credit it is a sign of life.
            said["pulls"] += message["credit"] > 0
            end = min(len(data), message["from"] + min(message["credit"], WINDOW))
            for offset in range(message["from"], end, connection.chunk):
                chunk = data[offset : min(end, offset + connection.chunk)]
                connection.publish_chunk(message["to"], offset, chunk)
                said["sent"] += len(chunk)


main()
