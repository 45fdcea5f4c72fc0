# The IKE SA comes up, but there is no common proposal for the Child SA
. "$(dirname "$0")/../lab.sh"; net_pair
ESP_SUITE_left=aes-cbc ESP_SUITE_right=chacha20
both_up; refused_both_ways no-proposal; both_stop
