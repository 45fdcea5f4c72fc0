#!/usr/bin/env python3
"""One end of a steady stream of numbered UDP packets, and what became of two such streams.

    traffic.py run LOCAL REMOTE PORT RATE FILE   send RATE packets a second and note what comes
    traffic.py report NAME FILE NAME FILE        compare the two ends

run sends from one SIGUSR1 to the next. SIGTERM ends it, a second after the last packet has
come, and then it writes FILE. Until then FILE.now has "RECEIVED LAST-NUMBER TIME" (seconds of
CLOCK_MONOTONIC); it is there as soon as run can receive.

A report has a line for each direction, then one for each run of lost numbers; its status is
that nothing was lost.
"""
import json, os, select, signal, socket, struct, sys, time

PACKET = struct.Struct("!Qd")          # number, time when sent
SIZE = 64                              # octets of UDP payload
QUIET = 1.0                            # seconds without a packet that end a run


def run(local, remote, port, rate, file):
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)       # SO_RCVBUFFORCE: nothing lost in here
    s.bind((local, int(port)))
    s.setblocking(False)
    stopping, paused = [], [1]
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(time.monotonic()))
    signal.signal(signal.SIGUSR1, lambda *_: paused.clear() if paused else paused.append(1))
    now = os.open(file + ".now", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    poll = select.poll()
    poll.register(s, select.POLLIN)
    step, sent, errors, received = 1 / float(rate), [], {}, []
    padding = bytes(SIZE - PACKET.size)
    due = last = time.monotonic()
    while True:
        t = time.monotonic()
        if stopping and t - max(last, stopping[0]) > QUIET:
            break
        if not stopping and not paused and t >= due:
            try:
                s.sendto(PACKET.pack(len(sent), t) + padding, (remote, int(port)))
            except OSError as e:
                errors[len(sent)] = e.strerror
            sent.append(t)
            due = max(due + step, t - 5 * step)        # late: a few at once, but no flood
        if stopping or paused:
            due = t
        poll.poll(50 if stopping or paused else max(0, (due - time.monotonic()) * 1000))
        while True:
            try:
                number, when = PACKET.unpack_from(s.recv(2048))
            except BlockingIOError:
                break
            except OSError:                            # an ICMP error: the loss says enough
                continue
            last = time.monotonic()
            received.append((number, when, last))
            os.pwrite(now, b"%d %d %.6f\n" % (len(received), number, last), 0)
    with open(file + ".new", "w") as f:
        json.dump({"sent": sent, "errors": errors, "received": received}, f)
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
