# A kernel without ESP: pluto says exactly that, when it starts and in its status, and
# a tunnel fails for that reason on both hosts, with nothing half-installed
# pairs: ours-ours
# kernels: host
. "$(dirname "$0")/../lab.sh"
"$LABSRC/has-esp" && { echo "SKIP this machine's kernel has ESP"; exit 0; }
OURS_PLUTO_X=--use-xfrm                # not the embedded data plane
guard() { :; }                         # nothing here could go through a tunnel
net_pair
both_up
no_esp='no ESP|without ESP|ESP is (not|missing)|lacks ESP'
check "left says so at start" waitlog left "$no_esp" 5
check "left says so in its status" sh -c "$(inside left) $PLUTO_BIN_DIR/whack --rundir /run/pluto --status | grep -i -E '$no_esp'"
check "left does not get a tunnel" refused left
for h in left right; do term $h t >/dev/null 2>&1; done
nothing_installed "after the refusal"
both_stop
