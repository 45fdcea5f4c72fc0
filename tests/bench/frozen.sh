# frozen: how long traffic stands still when the peer does for 8 seconds and the network drops
# what is sent to it. Runs in the laboratory's kernel, for it takes real ESP; see measure_frozen.
. "$(dirname "$0")/../lab/lab.sh"; net_pair
OURS_X='--dpddelay 2s --retransmit-timeout 4s --initial-contact'
LIBRESWAN_X=$'dpddelay=2\nretransmit-timeout=4s\ninitial-contact=yes'
STRONGSWAN_X='dpd_delay = 2s'
STRONGSWAN_CONF='retransmit_tries = 2
  retransmit_timeout = 1'
clock() { local s _; read -r s _ </proc/uptime; echo "$s"; }
both_up
check "left initiates" init left t
check "traffic starts" traffic_start
t=$(clock)
kill -STOP "${DAEMON[right]}"; tc -n right qdisc add dev eth0 root netem loss 100%
sleep 8
tc -n right qdisc del dev eth0 root; kill -CONT "${DAEMON[right]}"
check "traffic flows again" traffic_flows 60
awk -v a="$t" -v b="$(clock)" 'BEGIN { printf "MEASURED %.2f\n", b - a }'
traffic_stop
