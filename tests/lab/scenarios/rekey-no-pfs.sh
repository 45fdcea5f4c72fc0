# As rekey, without PFS and of Child SAs only
# pairs: ours-ours ours-libreswan ours-strongswan
NO_PFS=yes
. "$(dirname "$0")/rekey.sh"
