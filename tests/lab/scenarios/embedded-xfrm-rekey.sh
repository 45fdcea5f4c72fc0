# The embedded data plane on the left, the kernel's ESP on the right: the Child SA and the
# IKE SA are replaced by each side under traffic, of which nothing is lost
# pairs: ours-ours ours-libreswan ours-strongswan
. "$(dirname "$0")/../lab.sh"
modprobe -qa tun 2>/dev/null
[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200 2>/dev/null; }
[ -c /dev/net/tun ] || { echo "SKIP there is no /dev/net/tun"; exit 0; }
OURS_PLUTO_X_left=--use-embedded OURS_PLUTO_X_right=--use-xfrm
. "$LABSRC/embedded.sh"
net_pair
TIMES=${TIMES:-20}
SUITE=aes-gcm
ESP[aes-gcm]='aes_gcm256;dh31' STRONGSWAN_ESP[aes-gcm]='aes256gcm16-x25519'
replaced_times() { # replaced_times N HOST ike|child
  local i
  for ((i = 1; i <= $1; i++)); do replaced "$2" "$3" || { echo "at the ${i}th time"; return 1; }; done
}
both_up
check "left initiates" init left t
carried left
check "traffic starts" traffic_start
for what in child ike; do
  for h in left right; do check "$h replaces the $what SA $TIMES times" replaced_times "$TIMES" $h $what; done
done
check "traffic flows" traffic_flows
traffic_whole "in $((TIMES * 4)) rekeys"
check "left terminates" term left t
both_stop
