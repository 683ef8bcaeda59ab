"""A program in another language: inference and feedback with msgpack and a plain socket, written from contract.md alone.

usage: plain_client.py CONTEXT-FILE MODEL LABEL < PICTURE     PICTURE is 784 bytes, ink 0..255, row by row

Prints one JSON document: what came back for the picture as bytes, the same picture as float32 under the same id, the same picture
with explain, a picture of the wrong size, a late label for the first request, and a late label for a request that nobody made.
"""

import array
import json
import secrets
import socket
import sys
from urllib.parse import urlsplit

import msgpack


class Connection:
    """The NATS client protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol"""

    def __init__(self, url, user, password):
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=10)
        self.stream = self.socket.makefile("rb")
        info = json.loads(self.line().removeprefix("INFO "))
        assert info["max_payload"] >= 1 << 20
        options = {"verbose": False, "pedantic": True, "lang": "python", "version": "0", "user": user, "pass": password}
        self.send(f"CONNECT {json.dumps(options)}\r\nPING\r\n".encode())
        assert self.line() == "PONG"
        # A user may listen under its own prefix only.
        self.inbox = f"_INBOX.{user}.{secrets.token_hex(8)}"
        self.send(f"SUB {self.inbox}.* 1\r\n".encode())
        self.asked = 0

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        return self.stream.readline().decode().rstrip("\r\n")

    def request(self, subject, message):
        self.asked += 1
        reply_to = f"{self.inbox}.{self.asked}"
        payload = msgpack.packb(message)
        self.send(f"PUB {subject} {reply_to} {len(payload)}\r\n".encode() + payload + b"\r\n")
        while True:
            line = self.line()
            if line == "PING":
                self.send(b"PONG\r\n")
            elif line.startswith("MSG "):
                _, to, _, size = line.split(" ")
                data = self.stream.read(int(size))
                self.stream.read(2)
                if to == reply_to:
                    return msgpack.unpackb(data)
            elif line == "" or line.startswith("-ERR"):
                raise SystemExit(f"the server said {line!r}")


def main():
    context_file, model, label = sys.argv[1:]
    with open(context_file, encoding="utf-8") as file:
        context = json.load(file)
    client = context["users"]["client"]
    connection = Connection(context["natsUrl"], client["user"], client["password"])
    infer, feedback = (f"{context['cluster']}.{kind}.{model}" for kind in ("infer", "feedback"))

    ink = sys.stdin.buffer.read()
    as_bytes = {"v": 1, "dt": "|u1", "sh": [28, 28], "d": ink}
    floats = array.array("f", (value / 255 for value in ink))
    if sys.byteorder == "big":
        floats.byteswap()
    as_floats = {"v": 1, "dt": "<f4", "sh": [1, 28, 28], "d": floats.tobytes()}
    short = {"v": 1, "dt": "|u1", "sh": [28, 27], "d": ink[:756]}

    said = {
        "bytes": connection.request(infer, {"v": 1, "input": as_bytes, "id": "python-1"}),
        "again": connection.request(infer, {"v": 1, "input": as_floats, "id": "python-1"}),
        "floats": connection.request(infer, {"v": 1, "input": as_floats, "explain": True, "deadlineMs": 5000}),
        "short": connection.request(infer, {"v": 1, "input": short, "id": "python-2"}),
        "labelled": connection.request(feedback, {"v": 1, "id": "python-1", "label": label}),
        "unknown": connection.request(feedback, {"v": 1, "id": "python-9", "label": label}),
    }
    json.dump(said, sys.stdout)


main()
