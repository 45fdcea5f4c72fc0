# The same as routes, but the script _updown does it
# pairs: ours-ours ours-libreswan
. "$(dirname "$0")/../lab.sh"; net_pair
for h in left right; do ip -n $h route del default; ip -n $h -6 route del default; done
script=$(readlink -f "$LABSRC/../../packaging/_updown")
LIBRESWAN_X="leftsourceip=$LIN
rightsourceip=$RIN"
OURS_LEFT_X="--sourceip $LIN --updown $script" OURS_RIGHT_X="--sourceip $RIN --updown $script"
after_up() {
  check "left routes from its inner address" sh -c "ip -n left route get $RIN | grep 'src $LIN'"
  check "right routes from its inner address" sh -c "ip -n right route get $LIN | grep 'src $RIN'"
  check "a ping that names no address" ns left ping -c 3 -i 0.2 -W 2 -q "$RIN"
}
both_up; both_ways; both_stop
