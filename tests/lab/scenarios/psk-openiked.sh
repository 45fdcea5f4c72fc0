# The same against OpenIKED, which only answers here
# pairs: ours-openiked
. "$(dirname "$0")/../lab.sh"; net_pair
LIBRESWAN_X="ike=aes_gcm256-sha2_256;dh31,aes256-sha2_256;modp2048"
both_up; SIDES=left both_ways; both_stop
