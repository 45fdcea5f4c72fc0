# The two hosts have different secrets: both say so, and nothing is installed
. "$(dirname "$0")/../lab.sh"; net_pair
SECRET_right="quite another secret"
both_up; refused_both_ways wrong-psk; both_stop
