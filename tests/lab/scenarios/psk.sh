# IKEv2 with a pre-shared key, net to net over IPv4
# pairs: libreswan-strongswan ours-ours ours-libreswan ours-strongswan
. "$(dirname "$0")/../lab.sh"; net_pair
both_up; both_ways; both_stop
