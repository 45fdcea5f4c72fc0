# kill -9 of either daemon: it comes back, initiates, and both hosts have one tunnel
. "$(dirname "$0")/../lab.sh"; net_pair
# libreswan and ours must be told to say that they know of no other SA with the peer.
LIBRESWAN_X="initial-contact=yes" OURS_X="--initial-contact"
both_up
for h in left right; do
  check "left initiates" init left t
  carried left
  killed $h
  check "the tunnel outlives the daemon of $h" ping_from left
  stale $h
  check "$h starts again" up $h
  check "$h initiates" init $h t
  sleep 1
  carried $h
  # Both have initiated once, so each may bring back what the other takes down.
  check "$h terminates" term $h t
  for g in left right; do term $g t >/dev/null 2>&1; done
  nothing_installed "after terminate"
done
both_stop
