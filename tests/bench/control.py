#!/usr/bin/env python3
"""Ask our daemon many things over one connection to its control socket.

    control.py SOCKET <REQUESTS

REQUESTS has a JSON object a line, as whack would send. Each is answered before the next
is sent. Exit status 1 at the first complaint, which is printed.
"""
import json
import socket
import sys


def main():
    control = socket.socket(socket.AF_UNIX)
    control.connect(sys.argv[1])
    replies = control.makefile("rb")
    for request in sys.stdin.buffer:
        control.sendall(request)
        for line in replies:
            reply = json.loads(line)
            if 20 <= reply.get("code", 0) < 100:
                sys.exit(f"{request.decode().strip()}: {reply.get('text', reply)}")
            if reply["reply"] == "end":
                break
        else:
            sys.exit("the daemon closed the connection")


main()
