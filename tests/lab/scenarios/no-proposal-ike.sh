# No common proposal for the IKE SA
. "$(dirname "$0")/../lab.sh"; net_pair
IKE_SUITE_left=aes-cbc IKE_SUITE_right=chacha20
both_up; refused_both_ways no-proposal; both_stop
