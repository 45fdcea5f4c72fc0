# IPv6 net to net, over IPv4
. "$(dirname "$0")/../lab.sh"; net_pair
LTS=$LNET6 RTS=$RNET6 LIN=$LIN6 RIN=$RIN6
both_up; both_ways; both_stop
