# A connection that is only routed comes up by traffic, from either side
. "$(dirname "$0")/../lab.sh"; net_pair
both_up
# The kernel's note that it has asked for an SA must not outlive the scenario's patience.
for h in left right; do ns $h sh -c 'echo 2 >/proc/sys/net/core/xfrm_acq_expires'; done
first_packets() { local i; for i in 1 2 3 4 5; do ping_from "$1" 2 && return; done; return 1; }
for h in left right; do
  check "$h routes" route $h t
  check "nothing up yet" sh -c "! ip -n $h xfrm state | grep -v 'spi 0x00000000' | grep 'proto esp spi'"
  check "traffic from $h brings it up" first_packets $h
  carried $h
  check "$h terminates" term $h t
  check "$h unroutes" unroute $h t
  nothing_installed "after unroute"
done
both_stop
