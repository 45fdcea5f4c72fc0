# IPv4 net to net, over IPv6
. "$(dirname "$0")/../lab.sh"; net_pair
LADDR=$LIP6 RADDR=$RIP6
both_up; both_ways; both_stop
