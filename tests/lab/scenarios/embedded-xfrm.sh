# The embedded data plane on the left, the kernel's ESP on the right: in UDP and raw, over
# IPv4 and IPv6, with every suite, with and without ESN
# pairs: ours-ours ours-libreswan ours-strongswan
. "$(dirname "$0")/../lab.sh"
modprobe -qa tun 2>/dev/null
[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200 2>/dev/null; }
[ -c /dev/net/tun ] || { echo "SKIP there is no /dev/net/tun"; exit 0; }
OURS_PLUTO_X_left=--use-embedded OURS_PLUTO_X_right=--use-xfrm
. "$LABSRC/embedded.sh"
net_pair
after_up() { large_packets; }
esn() { # esn yes|no: the last SA has it
  local last; last=$(grep 'established Child SA' "$W/left.log" | tail -n 1); echo "$last"
  if [ "$1" = yes ]; then grep -qE 'ESP(inUDP)?/ESN=>' <<<"$last"; else grep -qE 'ESP(inUDP)?=>' <<<"$last"; fi
}
way() { # way SUITE ENCAPSULATION ESN
  SUITE=$1 OURS_X="--encapsulation=$2 --esn=$3"
  echo "-- $SUITE, encapsulation=$2, esn=$3${LADDR:+, from $LADDR}"
  both_up; both_ways; check "ESN: $3" esn $3; both_stop
  for h in left right; do unbox $h; rm -f "$W/$h.log"; done
}
LIBRESWAN_X=esn=either
STRONGSWAN_ESP[aes-gcm]='aes256gcm16-noesn,aes256gcm16-esn' STRONGSWAN_ESP[aes-cbc]='aes256-sha256-noesn,aes256-sha256-esn'
STRONGSWAN_ESP[chacha20]='chacha20poly1305-noesn,chacha20poly1305-esn'
way aes-gcm yes yes
way aes-cbc no no
way chacha20 no yes
LADDR=$LIP6 RADDR=$RIP6
way aes-cbc no yes
way chacha20 yes no
LTS=$LNET6 RTS=$RNET6 LIN=$LIN6 RIN=$RIN6
way aes-gcm no no
