#!/usr/bin/env python3
"""Drive strongSwan's charon in bulk over its control socket (VICI).

    vici.py SOCKET paced N P      initiate c1..cN, P in flight, each waited for
    vici.py SOCKET at-once N      initiate c1..cN, waiting for none
    vici.py SOCKET rekey          rekey every Child SA
"""
import socket
import struct
import sys
import threading

CMD_REQUEST, CMD_RESPONSE = 0, 1
SECTION_START, SECTION_END, KEY_VALUE = 1, 2, 3


def encode(message):
    """A flat dictionary as a VICI message."""
    out = b""
    for key, value in message.items():
        key, value = key.encode(), str(value).encode()
        out += struct.pack("!BB", KEY_VALUE, len(key)) + key
        out += struct.pack("!H", len(value)) + value
    return out


class Session:
    """One connection to charon: one request at a time."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def receive(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError("charon closed its socket")
            data += part
        return data

    def request(self, command, message):
        """Send a command; return its reply's bytes."""
        name = command.encode()
        packet = struct.pack("!BB", CMD_REQUEST, len(name)) + name + encode(message)
        self.socket.sendall(struct.pack("!I", len(packet)) + packet)
        (length,) = struct.unpack("!I", self.receive(4))
        reply = self.receive(length)
        if reply[0] != CMD_RESPONSE:
            raise ValueError(f"{command}: answer of type {reply[0]}")
        return reply[1:]


def main():
    path, way = sys.argv[1], sys.argv[2]
    if way == "rekey":
        Session(path).request("rekey", {"child": "net"})
        return
    total = int(sys.argv[3])
    if way == "at-once":
        session = Session(path)
        for i in range(1, total + 1):
            session.request("initiate", {"ike": f"c{i}", "child": "net", "timeout": -1})
        return
    flights = int(sys.argv[4])

    def fly(first):
        session = Session(path)
        for i in range(1 + first, total + 1, flights):
            session.request("initiate", {"ike": f"c{i}", "child": "net", "timeout": 30000, "loglevel": -1})

    threads = [threading.Thread(target=fly, args=(k,)) for k in range(flights)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
