# AES-GCM-256, and X25519, in IKE and ESP
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm
after_up() { local h; for h in left right; do check "$SUITE on $h" kernel_shows $h "${KERNEL_SHOWS[$SUITE]}"; done; }
both_up; both_ways; both_stop
