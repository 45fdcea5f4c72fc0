#!/usr/bin/env python3
"""What became of every lost packet of two streams that traffic.py has run, by what passed
the wire: whether the network lost it, the peer's host, or ours.

    losses.py [--network] [--while FROM TO]... KIND FILE KIND FILE

KIND is ours, or a peer's name, for the left and the right host. --network: the network may
lose packets here. --while: and whatever may become of those sent between these times (seconds
of CLOCK_MONOTONIC). Status 0 when nothing is ours: neither lost by a host of ours, nor by a
peer's because of what ours did.

How it is told. Where there is no ESP packet of it on the sender's wire, the sender's host has
not sent it (or its queueing discipline, which is the network's, dropped it: then no counter of
the kernel's IPsec moves). Where there is one there, and none on the receiver's wire, the network
lost it. Otherwise the receiver's host dropped it, and what else came by the same SPI tells why:
if nothing that came earlier was taken, the receiver did not have that SA yet; if nothing that
came later, it did not have it any more; else it had.

Whose fault these are, RFC 7296 says. A host that responds to CREATE_CHILD_SA must have its
inbound SA before it answers, and may send by the new SA once it has answered (2.8), which is
too early for some packets, if it does not wait until it sees the initiator use it. Whoever has
sent a Delete, or has answered one, must not send by that SA; until then the other host must
receive by it (1.4.1).
"""
import bisect, collections, json, sys

SIZES, STEP = 64, 4                    # as in traffic.py
SMALLEST = 128                         # octets of ESP of number 0: AES-GCM or ChaCha20, IPv4 in a tunnel
CHILD = (35, 36)                       # IKE_AUTH, CREATE_CHILD_SA
INFORMATIONAL = 37
PROMPT = 1.0                           # seconds in which ours must have used an answer of the peer's


class Host:
    def __init__(self, kind, file):
        with open(file) as f:
            d = json.load(f)
        self.kind, self.ours = kind, kind == "ours"
        self.sent, self.received, self.wire, self.kernel = d["sent"], {n for n, _, _ in d["received"]}, d["wire"], d["kernel"]
        self.errors = {int(n): why for n, why in d["errors"].items()}
        self.unseen, self.dropped = d["unseen"], 0     # dropped: lost of what came to its kernel
        self.esp = {True: {}, False: {}}               # by direction: (SPI, number) -> place on the wire
        for i, p in enumerate(self.wire):
            if p[0] == "esp":
                self.esp[p[2]].setdefault((p[3], p[4]), i)

    def counted(self, prefix):
        return sum(n for name, n in self.kernel.items() if name.startswith(prefix))

    def between(self, first, last, what):
        return any(what(p) for p in self.wire[max(first, 0):max(last, 0)])


def numbers(sender):
    """(SPI, ESP number) of what sender has put on the wire, by the number in the stream."""
    found = {}
    for i, p in enumerate(sender.wire):
        size, odd = divmod(p[5] - SMALLEST, STEP) if p[0] == "esp" else (-1, 0)
        if p[0] != "esp" or not p[2] or odd or not 0 <= size < SIZES:
            continue
        latest = bisect.bisect_right(sender.sent, p[1] + 0.02) - 1
        n = latest - (latest - size) % SIZES           # the latest of that length
        if n >= 0:
            found.setdefault(n, (p[3], p[4]))
    return found


def ike(p, out, exchanges=None, response=None):
    return p[0] == "ike" and p[2] == out and (exchanges is None or p[3] in exchanges) and (response is None or p[4] == response)


class Direction:
    """What `a` has sent to `b`."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.esp = numbers(a)
        self.taken = collections.defaultdict(list)     # SPI -> places on b's wire of what came to its end
        for n, esp in self.esp.items():
            if n in b.received and esp in b.esp[False]:
                self.taken[esp[0]].append(b.esp[False][esp])

    def why(self, n):
        """Whose, and a sentence."""
        a, b = self.a, self.b
        whose = "ours" if a.ours else a.kind
        if n in a.errors:
            return whose, "not sent: " + a.errors[n]
        if n not in self.esp:
            if a.counted("XfrmOut"):
                return whose, "dropped by the sender's kernel"
            return "network", "never on the wire, and counted by nothing in the sender's kernel"
        if self.esp[n] not in b.esp[False]:
            return "network", "on the wire to %s, and did not come" % a.wire[a.esp[True][self.esp[n]]][6]
        return self.dropped(*self.esp[n])

    def dropped(self, spi, number):
        a, b = self.a, self.b
        left, came = a.esp[True][spi, number], b.esp[False][spi, number]
        taken = self.taken[spi]
        if any(t < came for t in taken) and any(t > came for t in taken):
            return ("ours" if b.ours else b.kind), "dropped by the receiver, which took others by SPI %08x before and after" % spi
        if any(t < came for t in taken):
            return self.too_late(spi, left, taken)
        return self.too_early(spi, left, came)

    def too_late(self, spi, left, taken):
        a, b = self.a, self.b
        i = max(taken)
        last = a.esp[True][tuple(b.wire[i][3:5])]
        stopped = a.between(last, left, lambda p: ike(p, True, (INFORMATIONAL,)))
        if stopped:
            return ("ours" if a.ours else a.kind), "sent by SPI %08x after its Delete" % spi
        return ("ours" if b.ours else b.kind), "the receiver had deleted SPI %08x before the sender had any reason to stop" % spi

    def too_early(self, spi, left, came):
        a, b = self.a, self.b
        sender, receiver = ("ours" if h.ours else h.kind for h in (a, b))
        # The receiver has told its SPI in a request whose answer it did not have, or just had:
        for at, p in enumerate(b.wire[:came]):
            if not ike(p, True, CHILD, False):
                continue
            answer = next((q for q in b.wire[at:came] if ike(q, False, CHILD, True)), None)
            if answer is None:
                return sender, "sent by a new SPI before the answer with which its SA begins had come"
            if b.wire[came][1] - answer[1] <= PROMPT:
                return sender, "sent by a new SPI on the heels of the answer with which its SA begins"
        # or in its answer, before which it must have had the SA (if that has come).
        if any(ike(p, False, CHILD, True) for p in a.wire[:left]):
            return receiver, "told SPI %08x in its answer and had no such SA" % spi
        return sender, "sent by SPI %08x before it could know it" % spi


def around(direction, n):
    """What passed both wires just then, for who has to find out."""
    for name, host, out in (("sender", direction.a, True), ("receiver", direction.b, False)):
        at = host.esp[out].get(direction.esp.get(n))
        if at is None:
            continue
        base = host.wire[at][1]
        for p in host.wire[max(at - 5, 0):at + 5]:
            words = "ESP %08x %d" % (p[3], p[4]) if p[0] == "esp" else "IKE %d %s" % (p[3], "response" if p[4] else "request")
            print("    at the %s's %8.1f ms %s %s" % (name, (p[1] - base) * 1000, "out" if p[2] else " in", words))


def excused(windows, when):
    return any(a <= when <= b for a, b in windows)


def main(words):
    network, windows = False, []
    while words and words[0].startswith("--"):
        if words[0] == "--network":
            network, words = True, words[1:]
        elif words[0] == "--while":
            windows.append((float(words[1]), float(words[2])))
            words = words[3:]
        else:
            sys.exit(__doc__)
    if len(words) != 4:
        sys.exit(__doc__)
    hosts = [("left", Host(*words[:2])), ("right", Host(*words[2:]))]
    bad = False
    for (name, a), (other, b) in (hosts, hosts[::-1]):
        lost = [n for n in range(len(a.sent)) if n not in b.received]
        d, sums = Direction(a, b), collections.Counter()
        blind = [n for n in b.received if n not in d.esp or d.esp[n] not in b.esp[False]] if lost else []
        if blind:
            print("%s to %s: %d that came were not seen on the wire (of %d), the first %d: nothing can be told" % (
                name, other, len(blind), len(b.received), min(blind)))
            bad = True
        shown = []
        a.dropped += sum(n not in d.esp for n in lost)
        b.dropped += sum(d.esp.get(n) in b.esp[False] for n in lost)
        for n in lost:
            if excused(windows, a.sent[n]):
                sums["excused", "sent while the scenario says that it may be lost"] += 1
            else:
                told = d.why(n)
                sums[told] += 1
                if told[0] in ("ours", "unknown") and len(shown) < 1:
                    shown.append(n)
        for (whose, why), count in sorted(sums.items()):
            print("%s to %s: %d lost: %s: %s" % (name, other, count, whose, why))
            bad |= whose in ("ours", "unknown") or whose == "network" and not network
        for n in shown:
            print("  number %d, sent at %.3f:" % (n, a.sent[n]))
            around(d, n)
    for name, h in hosts:
        print("%s (%s) counted%s" % (name, h.kind, "".join(" %s %d" % i for i in h.kernel.items()) or " no error"))
        beyond = sum(h.kernel.values()) - h.dropped
        if h.ours and not windows and beyond > 0:
            print("%s: %d more than were lost there" % (name, beyond))
            bad = True
        if h.unseen:
            print("%s: %d packets went by unseen" % (name, h.unseen))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
