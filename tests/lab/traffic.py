#!/usr/bin/env python3
"""One end of a steady stream of numbered UDP packets, and what became of two such streams.

    traffic.py run LOCAL REMOTE PORT RATE FILE   send RATE packets a second and note what comes
    traffic.py report NAME FILE NAME FILE        compare the two ends

run sends from one SIGUSR1 to the next. SIGTERM ends it, a second after the last packet has
come, and then it writes FILE. Until then FILE.now has "RECEIVED LAST-NUMBER TIME" (seconds of
CLOCK_MONOTONIC); it is there as soon as run can receive. LOCAL and REMOTE may be several
addresses, with commas: packets go from each to each in turn, until the longer list is through.

A packet's length tells its number modulo 64, which encryption does not hide, and run notes
every ESP and IKE packet that passes eth0: losses.py makes out of it where one was lost.

A report has a line for each direction, then one for each run of lost numbers; its status is
that nothing was lost.
"""
import json, os, select, signal, socket, struct, sys, time

PACKET = struct.Struct("!Qd")          # number, time when sent
SIZE, STEP, SIZES = 64, 4, 64          # octets of UDP payload of number 0, more for each next one
QUIET = 1.0                            # seconds without a packet that end a run


class Tap:
    """What passes eth0, in the order in which it did: ESP packets as ["esp", TIME, OUT, SPI,
    NUMBER, OCTETS, DESTINATION], IKE messages as ["ike", TIME, OUT, EXCHANGE, RESPONSE]."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)      # SO_RCVBUFFORCE
        self.socket.setsockopt(socket.SOL_SOCKET, 35, 1)            # SO_TIMESTAMPNS
        self.socket.bind(("eth0", 3))                               # ETH_P_ALL
        self.socket.setblocking(False)
        self.seen = []

    def read(self):
        ahead = time.time() - time.monotonic()
        while True:
            try:
                data, notes, _, address = self.socket.recvmsg(96, 64)
            except BlockingIOError:
                return
            except OSError:                            # the device is down
                return
            for _, kind, stamp in notes:
                if kind == 35:
                    seconds, ns = struct.unpack("qq", stamp)
                    self.packet(seconds + ns / 1e9 - ahead, address[2] == 4, data)

    def packet(self, when, out, ip):
        if len(ip) < 40 or ip[0] >> 4 not in (4, 6):
            return
        if ip[0] >> 4 == 4:
            head, protocol, octets = (ip[0] & 15) * 4, ip[9], struct.unpack_from("!H", ip, 2)[0]
            octets, to = octets - head, socket.inet_ntop(socket.AF_INET, ip[16:20])
        else:
            head, protocol, octets = 40, ip[6], struct.unpack_from("!H", ip, 4)[0]
            to = socket.inet_ntop(socket.AF_INET6, ip[24:40])
        data = ip[head:]
        if protocol == 17 and len(data) >= 12:         # UDP: IKE, or ESP in it (RFC 3948)
            ports, data, octets = struct.unpack_from("!HH", data), data[8:], octets - 8
            if 500 not in ports and 4500 not in ports:
                return                                 # decrypted, it comes by once more
            if 500 not in ports and data[:4] == bytes(4):
                data = data[4:]
            elif 500 not in ports:
                protocol = 50
            if protocol == 17 and len(data) >= 20:
                self.seen.append(["ike", when, out, data[18], bool(data[19] & 0x20)])
        if protocol == 50 and octets >= 16:
            spi, number = struct.unpack_from("!II", data)
            self.seen.append(["esp", when, out, spi, number, octets, to])

    def dropped(self):
        return struct.unpack("II", self.socket.getsockopt(263, 6, 8))[1]     # PACKET_STATISTICS


def errors_of_kernel():
    """The kernel's counts of packets that IPsec dropped."""
    with open("/proc/net/xfrm_stat") as f:
        return {name: int(n) for name, n in (line.split() for line in f)}


def receiver(local, port):
    s = socket.socket(socket.AF_INET6 if ":" in local else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)       # SO_RCVBUFFORCE: nothing lost in here
    s.bind((local, port))
    s.setblocking(False)
    return s


def run(local, remote, port, rate, file):
    local, remote, port = local.split(","), remote.split(","), int(port)
    sockets = {a: receiver(a, port) for a in set(local)}
    flows = [(sockets[local[i % len(local)]], (remote[i % len(remote)], port)) for i in range(max(len(local), len(remote)))]
    stopping, paused = [], [1]
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(time.monotonic()))
    signal.signal(signal.SIGUSR1, lambda *_: paused.clear() if paused else paused.append(1))
    tap, before = Tap(), errors_of_kernel()
    now = os.open(file + ".now", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    poll = select.poll()
    for s in [tap.socket, *sockets.values()]:
        poll.register(s, select.POLLIN)
    step, sent, errors, received = 1 / float(rate), [], {}, []
    due = last = time.monotonic()
    while True:
        t = time.monotonic()
        if stopping and t - max(last, stopping[0]) > QUIET:
            break
        if not stopping and not paused and t >= due:
            n = len(sent)
            s, to = flows[n % len(flows)]
            try:
                s.sendto(PACKET.pack(n, t) + bytes(SIZE + n % SIZES * STEP - PACKET.size), to)
            except OSError as e:
                errors[n] = e.strerror
            sent.append(t)
            due = max(due + step, t - 5 * step)        # late: a few at once, but no flood
        if stopping or paused:
            due = t
        ready = poll.poll(50 if stopping or paused else max(0, (due - time.monotonic()) * 1000))
        ready = {fd for fd, _ in ready}
        if tap.socket.fileno() in ready:
            tap.read()
        for s in sockets.values():
            while s.fileno() in ready:
                try:
                    number, when = PACKET.unpack_from(s.recv(2048))
                except BlockingIOError:
                    break
                except OSError:                        # an ICMP error: the loss says enough
                    continue
                last = time.monotonic()
                received.append((number, when, last))
                os.pwrite(now, b"%d %d %.6f\n" % (len(received), number, last), 0)
    tap.read()
    after = errors_of_kernel()
    with open(file + ".new", "w") as f:
        json.dump({"sent": sent, "errors": errors, "received": received, "wire": tap.seen, "unseen": tap.dropped(),
                   "kernel": {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name, 0)}}, f)
    os.rename(file + ".new", file)


def runs(numbers):
    """The runs of consecutive numbers in a sorted list."""
    begin = end = None
    for n in numbers:
        if begin is None or n != end + 1:
            if begin is not None:
                yield begin, end
            begin = n
        end = n
    if begin is not None:
        yield begin, end


def direction(title, sender, receiver):
    sent, got = sender["sent"], receiver["received"]
    count = [0] * len(sent)
    reordered, highest, gap, gap_at, latest = 0, -1, 0.0, 0.0, 0.0
    for i, (number, when, came) in enumerate(got):
        count[number] += 1
        reordered += number < highest
        highest = max(highest, number)
        latest = max(latest, came - when)
        if i and came - got[i - 1][2] > gap:
            gap, gap_at = came - got[i - 1][2], got[i - 1][2]
    lost = [n for n, c in enumerate(count) if c == 0]
    start = sent[0] if sent else 0.0
    print("%s: sent %d, lost %d (%d not sent), duplicated %d, reordered %d, longest gap %.3f s (at %.1f s), longest way %.3f s" % (
        title, len(sent), len(lost), len(sender["errors"]), sum(c - 1 for c in count if c > 1), reordered, gap, max(0, gap_at - start), latest))
    for a, b in list(runs(lost))[:40]:
        why = sender["errors"].get(str(a))
        print("    lost %d to %d, sent %.3f to %.3f s after the start (at %.3f)%s" % (
            a, b, sent[a] - start, sent[b] - start, sent[a], ": " + why if why else ""))
    return len(lost)


def report(left, left_file, right, right_file):
    with open(left_file) as f:
        l = json.load(f)
    with open(right_file) as f:
        r = json.load(f)
    lost = direction(left + " to " + right, l, r)
    lost += direction(right + " to " + left, r, l)
    return 1 if lost else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"] and len(sys.argv) == 7:
        run(*sys.argv[2:])
    elif sys.argv[1:2] == ["report"] and len(sys.argv) == 6:
        sys.exit(report(*sys.argv[2:]))
    else:
        sys.exit(__doc__)
