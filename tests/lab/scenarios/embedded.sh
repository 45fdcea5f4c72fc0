# The embedded data plane against itself and against strongSwan's user-space ESP
# (kernel-libipsec), where the kernel has no part in it: ESP in UDP, three suites
# pairs: ours-ours ours-strongswan
# kernels: host
. "$(dirname "$0")/../lab.sh"
[ -c /dev/net/tun ] || { echo "SKIP there is no /dev/net/tun"; exit 0; }
OURS_PLUTO_X=--use-embedded
STRONGSWAN_PLUGINS="${STRONGSWAN_PLUGINS/kernel-netlink/kernel-libipsec kernel-netlink}"
STRONGSWAN_CONF="plugins { kernel-libipsec { load = yes } }"   # Debian's own file says no
. "$LABSRC/embedded.sh"
net_pair
for SUITE in aes-gcm aes-cbc chacha20; do
  both_up
  after_up() { large_packets; }
  both_ways
  both_stop
  for h in left right; do unbox $h; done
done
