# No default route: the daemon sets the route to the other net and the source address
# of packets that go there, and takes both away again
. "$(dirname "$0")/../lab.sh"; net_pair
for h in left right; do ip -n $h route del default; ip -n $h -6 route del default; done
LIBRESWAN_X="leftsourceip=$LIN
rightsourceip=$RIN"
OURS_LEFT_X="--sourceip $LIN" OURS_RIGHT_X="--sourceip $RIN"
after_up() {
  check "left routes from its inner address" sh -c "ip -n left route get $RIN | grep 'src $LIN'"
  check "right routes from its inner address" sh -c "ip -n right route get $LIN | grep 'src $RIN'"
  check "a ping that names no address" ns left ping -c 3 -i 0.2 -W 2 -q "$RIN"
}
both_up; both_ways; both_stop
