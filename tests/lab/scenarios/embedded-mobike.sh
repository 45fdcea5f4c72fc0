# The same as mobike, with the embedded data plane
# pairs: ours-ours
# kernels: host
[ -c /dev/net/tun ] || { echo "SKIP there is no /dev/net/tun"; exit 0; }
EMBEDDED=1
. "$(dirname "$0")/mobike.sh"
