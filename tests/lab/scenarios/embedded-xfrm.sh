# The embedded data plane on the left, the kernel's ESP on the right: in UDP and raw,
# with every suite
# pairs: ours-ours ours-libreswan ours-strongswan
. "$(dirname "$0")/../lab.sh"
modprobe -qa tun 2>/dev/null
[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200 2>/dev/null; }
[ -c /dev/net/tun ] || { echo "SKIP there is no /dev/net/tun"; exit 0; }
OURS_PLUTO_X_left=--use-embedded OURS_PLUTO_X_right=--use-xfrm
. "$LABSRC/embedded.sh"
net_pair
after_up() { large_packets; }
way() { # way SUITE ENCAPSULATION
  SUITE=$1 OURS_X="--encapsulation=$2"
  echo "-- $SUITE, encapsulation=$2"
  both_up; both_ways; both_stop
  for h in left right; do unbox $h; done
}
way aes-gcm yes
way aes-cbc no
way chacha20 no
