# As rekey, without PFS
# pairs: libreswan-strongswan ours-ours ours-libreswan ours-strongswan
NO_PFS=yes
. "$(dirname "$0")/rekey.sh"
