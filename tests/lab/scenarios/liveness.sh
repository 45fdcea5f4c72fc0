# A peer that is frozen, then cut off and let go, then killed and started again, then gone for
# good: a tunnel that carries packets is left alone, one that does not is made anew, or cleared
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm
OURS_X='--dpddelay 2s --retransmit-timeout 4s --initial-contact'
LIBRESWAN_X=$'dpddelay=2\nretransmit-timeout=4s\ninitial-contact=yes'
STRONGSWAN_X='dpd_delay = 2s'
STRONGSWAN_CONF='retransmit_tries = 2
  retransmit_timeout = 1'
since() { awk -v a="$1" -v b="$(traffic_clock)" 'BEGIN { printf "%.1f", b - a }'; }
freeze() { kill -STOP "${DAEMON[$1]}"; }
thaw() { kill -CONT "${DAEMON[$1]}"; }
cut() { tc -n "$1" qdisc add dev eth0 root netem loss 100%; }
mend() { tc -n "$1" qdisc del dev eth0 root; }

both_up
check "left initiates" init left t
carried left

check "traffic starts" traffic_start
sleep 1.5                     # a question from before the traffic has its answer
freeze right; sleep 8
check_not "left does not give a peer up whose packets come" grep -E "$(ours_says dead)" "$W/left.log"
thaw right
check "traffic flows" traffic_flows
traffic_whole

check "traffic starts" traffic_start
t=$(traffic_clock); freeze right; cut right
check "left notices" says left dead
echo "  noticed after $(since "$t") s"
sleep 1
u=$(traffic_clock); mend right; thaw right
check "traffic flows again" traffic_flows 40
echo "  traffic flows $(since "$u") s after the peer was let go, $(since "$t") s after it was frozen"
check "one tunnel remains" settled 40
EXCUSED+=("$t $(traffic_clock)")      # while there was no tunnel, or another one came up

: >"$W/left.log"
t=$(traffic_clock); killed right; stale right
check "right starts again" up right
check "left notices" says left dead
check "traffic flows again" traffic_flows 40
echo "  traffic flows $(since "$t") s after the peer was killed"
check "one tunnel remains" settled 40
EXCUSED+=("$t $(traffic_clock)")
check "traffic flows" traffic_flows
sleep 1
traffic_whole "with a tunnel"
check "left terminates" term left t
for h in left right; do term $h t >/dev/null 2>&1; done
nothing_installed "after terminate"

# Whoever has not initiated has nothing to bring back.
check "right initiates" init right t
: >"$W/left.log"
killed right; stale right
for what in state policy; do ip -n right xfrm $what flush; done
check "left notices" says left dead
check "nothing is left in the kernel of left" back_to left idle
check "right starts again" up right

# What comes up by traffic waits for traffic again.
ns left sh -c 'echo 2 >/proc/sys/net/core/xfrm_acq_expires'
first_packets() { local i; for i in 1 2 3 4 5; do ping_from left 2 && return; done; return 1; }
check "left routes" route left t
check "traffic brings it up" first_packets
: >"$W/left.log"
killed right; stale right
for what in state policy; do ip -n right xfrm $what flush; done
check "left notices" says left dead
check_not "left has no SAs" kernel_shows left .
check "left has its policy still" sh -c "ip -n left xfrm policy list nosock | grep 'src $LNET dst $RNET'"
check "right starts again" up right
check "traffic brings it up again" first_packets
check "left terminates" term left t
check "left unroutes" unroute left t
for h in left right; do term $h t >/dev/null 2>&1; done
nothing_installed "after unroute"
both_stop
