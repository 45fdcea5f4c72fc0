# The embedded data plane against itself and against strongSwan's user-space ESP
# (kernel-libipsec), where the kernel has no part in it: three suites, in UDP, between ours
# also raw, over IPv6, without ESN, and with somebody on the wire
# pairs: ours-ours ours-strongswan
# kernels: host
. "$(dirname "$0")/../lab.sh"
[ -c /dev/net/tun ] || { echo "SKIP there is no /dev/net/tun"; exit 0; }
OURS_PLUTO_X=--use-embedded
STRONGSWAN_PLUGINS="${STRONGSWAN_PLUGINS/kernel-netlink/kernel-libipsec kernel-netlink}"
STRONGSWAN_CONF="plugins { kernel-libipsec { load = yes } }"   # Debian's own file says no
. "$LABSRC/embedded.sh"
net_pair
after_up() { large_packets; }
esn() { # esn yes|no: the last SA has it
  local last; last=$(grep 'established Child SA' "$W/left.log" | tail -n 1); echo "$last"
  if [ "$1" = yes ]; then grep -qE 'ESP(inUDP)?/ESN=>' <<<"$last"; else grep -qE 'ESP(inUDP)?=>' <<<"$last"; fi
}
way() { # way SUITE WORDS...: further words of ours
  SUITE=$1 OURS_X="${*:2}"
  echo "-- $*"
  both_up; both_ways
  [ "$RIGHT" != ours ] || case " $* " in
    *--esn=no*) check "no ESN" esn no;;
    *) check "ESN" esn yes;;
  esac
  if [ -n "${HOSTILE:-}" ]; then check "left initiates" init left t; hostile_wire; check "left terminates" term left t; fi
  both_stop
  for h in left right; do unbox $h; rm -f "$W/$h.log"; done
}
if [ "$RIGHT" != ours ]; then
  for suite in aes-gcm aes-cbc chacha20; do way $suite; done
  exit
fi
HOSTILE=1
way aes-gcm
way aes-cbc --encapsulation=no --esn=no
HOSTILE= way chacha20 --encapsulation=no
LADDR=$LIP6 RADDR=$RIP6
way aes-gcm --esn=no
way aes-cbc --encapsulation=no
HOSTILE= LTS=$LNET6 RTS=$RNET6 LIN=$LIN6 RIN=$RIN6
way chacha20
# From host to host, where no policy of the kernel's takes packets on their way
guard_ping left right
LADDR= RADDR= LTS= RTS= LIN=$LIP RIN=$RIP MODE=transport
after_up() { check "ping of 1372 octets" ns left ping -c 2 -i 0.2 -W 2 -s 1372 -q -I $LIN $RIN; }   # no fragments here
way aes-gcm
after_up() { large_packets; }
LTS=$LIP/32 RTS=$RIP/32 MODE=tunnel
way aes-gcm --encapsulation=no
