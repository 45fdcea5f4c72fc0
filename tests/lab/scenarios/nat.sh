# The left host is behind an address translator and initiates to one that knows it by
# name only. In the 7.x kernel that is one to one; in 6.1 it masquerades, random ports.
# pairs: libreswan-strongswan ours-ours ours-libreswan ours-strongswan libreswan-ours strongswan-ours
# kernels: new 6.1
. "$(dirname "$0")/../lab.sh"; net_nat
LADDR_right=%any
after_up() {
  local h
  for h in left right; do check "ESP in UDP on $h" kernel_shows $h 'encap type espinudp sport [0-9]+ dport [0-9]+'; done
  check "right sends to the translator" kernel_shows right "src ($NATIP|$RIP) dst ($NATIP|$RIP)"
}
both_up; SIDES=left both_ways; both_stop
