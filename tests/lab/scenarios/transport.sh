# Transport mode, host to host
. "$(dirname "$0")/../lab.sh"; net_pair; guard_ping left right
MODE=transport LIN=$LIP RIN=$RIP
after_up() { local h; for h in left right; do check "transport mode on $h" kernel_shows $h 'mode transport'; done; }
both_up; both_ways; both_stop
