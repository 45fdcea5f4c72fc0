# An address that comes after the daemon has begun to listen is used without another
# --listen, and a connection that needs it becomes oriented
# pairs: ours-ours
. "$(dirname "$0")/../lab.sh"; net_pair
LADDR=198.51.100.9
both_up
check_not "no tunnel without the address" timeout 10 bash -c "$(inside left) $PLUTO_BIN_DIR/whack --rundir /run/pluto --name t --initiate"
for h in left right; do term $h t >/dev/null 2>&1; done
ip -n left addr add 198.51.100.9/24 dev eth0
kernel left >"$W/left.before"
sleep 1
kernel left >"$W/left.idle"; kernel right >"$W/right.idle"
both_ways; both_stop
