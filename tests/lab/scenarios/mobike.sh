# The left host's address is replaced by another one while numbered packets flow both ways:
# nothing is lost but what was sent while it had no address, or a moment later
# pairs: ours-ours ours-strongswan strongswan-ours ours-libreswan libreswan-ours
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm
[ -z "${EMBEDDED:-}" ] || { OURS_PLUTO_X=--use-embedded; . "$LABSRC/embedded.sh"; }
# With IPv6 ours would go by that at once, and be without an address for no time at all.
for h in left right; do ip -n $h -6 addr flush dev eth0; done
OURS_X="--mobike"
LIBRESWAN_X="mobike=yes"
LADDR_right=%any                     # libreswan lets nobody else move
SLACK=1                              # seconds until it has noticed and moved
[ "${KIND[left]}" != libreswan ] || LADDR_left=%defaultroute SLACK=5   # looks 3 s later
ELSEWHERE=198.51.100.11

# moved TO: left's packets and right's go there
moved() {
  local h
  for h in left right; do
    [ -z "${EMBEDDED:-}" ] || { whack $h --showstates | grep "esp\..*@$1" || return 1; continue; }
    kernel_shows $h "src ($1 dst $RIP|$RIP dst $1)" || return 1
  done
}
moves() { # moves TO: left loses its address, and has another one after a while
  local from since until
  from=$(ip -n left -o -4 addr show dev eth0 | awk '{ print $4 }')
  since=$(traffic_clock)
  ip -n left addr del "$from" dev eth0
  sleep "${WITHOUT:-2}"
  ip -n left addr add "$1/24" dev eth0
  ip -n left route add default via $RIP
  until=$(traffic_clock)
  eventually 15 moved "$1" || return 1
  echo "no address from $since to $until, moved by $(traffic_clock)"
  # What was sent while it had no address is lost, or until it has moved.
  EXCUSED+=("$(awk -v a="$since" -v b="$until" -v slack=$SLACK 'BEGIN { print a - 0.1, b + slack }')")
}
eventually() { # eventually SECONDS COMMAND...
  local end=$((SECONDS + $1)); shift
  until "$@" >"$W/eventually.out" 2>&1; do [ $SECONDS -lt $end ] || { cat "$W/eventually.out"; return 1; }; sleep 0.1; done
}

both_up
check "left initiates" init left t
carried left
check "traffic flows" traffic_start 100
check "traffic comes" traffic_flows
check "left moves to another address" moves $ELSEWHERE
check "traffic flows again" traffic_flows
check "left moves back" moves $LIP
check "traffic flows again" traffic_flows
WITHOUT=0 check "left moves without a pause" moves $ELSEWHERE
check "traffic flows again" traffic_flows
sleep 1
traffic_whole "but for want of an address"
if [ "${KIND[left]}" = ours ]; then
  check "left tells of it" waitlog left "our address changed from $LIP" 1
fi
if [ "${KIND[right]}" = ours ]; then
  check "right tells of it" waitlog right "peer's address changed from $LIP" 1
fi
[ "$FAILS" = 0 ] || logs
check "left terminates" term left t
check "nothing in the kernel of right" back_to right idle
for h in right left; do check "$h stops" stop $h; done
check "no SAs on left" bash -c "[ -z \"\$(ip -n left xfrm state)\" ]"
