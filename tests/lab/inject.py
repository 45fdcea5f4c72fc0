#!/usr/bin/env python3
"""ESP on its way, caught and sent again by whoever sits on the wire.

    inject.py catch DEVICE COUNT FILE    writes the next COUNT frames with ESP that leave by DEVICE
    inject.py send DEVICE HOW FILE       sends them: as they were (same), the last first
                                         (reversed), one octet of each changed (changed), the last
                                         octets cut off (cut), little more than headers (headers),
                                         or for an SA that is not there (alien); prints how many

catch says "ready" when it listens; it gives up after 10 seconds.
"""
import socket, struct, sys, time

OUTGOING = 4                           # PACKET_OUTGOING


def layers(frame):
    """Where ESP begins in the frame, and the protocol that carries it; None: it is no ESP."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0800:
        at, protocol = 14 + (frame[14] & 15) * 4, frame[23]
    elif kind == 0x86DD:
        at, protocol = 54, frame[20]
    else:
        return None
    if protocol == 17:
        port, esp = struct.unpack_from("!H", frame, at + 2)[0], frame[at + 8:at + 12]
        return (at + 8, 17) if port == 4500 and len(esp) == 4 and esp != bytes(4) else None
    return (at, 50) if protocol == 50 else None


def finished(frame, esp, protocol, body):
    """The frame with another ESP packet in it, its lengths and checksums right."""
    f = bytearray(frame[:esp]) + body
    if protocol == 17:
        struct.pack_into("!H", f, esp - 4, len(body) + 8)
        struct.pack_into("!H", f, esp - 2, 0)      # none, or computed below
    if f[12:14] == b"\x08\x00":
        struct.pack_into("!HH", f, 16, len(f) - 14, 0)
        struct.pack_into("!H", f, 24, 0)
        struct.pack_into("!H", f, 24, checksum(f[14:14 + (f[14] & 15) * 4]))
    else:
        struct.pack_into("!H", f, 18, len(f) - 54)
        if protocol == 17:                         # IPv6 wants it
            pseudo = f[22:54] + struct.pack("!II", len(f) - 54, 17)
            struct.pack_into("!H", f, esp - 2, checksum(pseudo + f[54:]) or 0xFFFF)
    return bytes(f)


def checksum(octets):
    octets = bytes(octets) + bytes(len(octets) % 2)
    total = sum(struct.unpack("!%dH" % (len(octets) // 2), octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


CHANGES = {
    "same": lambda esp: esp,
    "reversed": lambda esp: esp,
    "changed": lambda esp: esp[:-20] + bytes([esp[-20] ^ 1]) + esp[-19:],
    "cut": lambda esp: esp[:-4],
    "headers": lambda esp: esp[:12],
    "alien": lambda esp: b"\x00\x00\x10\x01" + esp[4:],
}


def catch(device, count, file):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((device, 0))
    s.settimeout(0.2)
    print("ready", flush=True)
    caught, end = [], time.monotonic() + 10
    while len(caught) < int(count) and time.monotonic() < end:
        try:
            frame, address = s.recvfrom(70000)
        except socket.timeout:
            continue
        if address[2] == OUTGOING and layers(frame):
            caught.append(frame.hex())
    with open(file, "w") as f:
        f.write("\n".join(caught) + "\n")
    return len(caught) == int(count)


def send(device, how, file):
    with open(file) as f:
        frames = [bytes.fromhex(line) for line in f.read().split()]
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((device, 0))
    for frame in reversed(frames) if how == "reversed" else frames:
        esp, protocol = layers(frame)
        s.send(finished(frame, esp, protocol, CHANGES[how](frame[esp:])))
    print(len(frames))
    return True


sys.exit(0 if {"catch": catch, "send": send}[sys.argv[1]](*sys.argv[2:]) else 1)
