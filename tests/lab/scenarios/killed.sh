# kill -9 of either daemon: it comes back, initiates, and both hosts have one tunnel
. "$(dirname "$0")/../lab.sh"; net_pair
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
  check "$h terminates" term $h t
  nothing_installed "after terminate"
done
both_stop
