# The left host asks for more than the right one has: they meet at the narrower
# selectors, whoever asks (RFC 7296, 2.9)
# pairs: libreswan-strongswan ours-ours ours-libreswan ours-strongswan libreswan-ours strongswan-ours
. "$(dirname "$0")/../lab.sh"; net_pair
NARROWING=yes
LTS_left=10.1.0.0/16 RTS_left=10.2.0.0/16
after_up() {
  local h
  for h in left right; do
    check "narrowed on $h" sh -c "ip -n $h xfrm policy list nosock | grep -x 'src $LNET dst $RNET '"
    check "not wider on $h" sh -c "! ip -n $h xfrm policy list nosock | grep '/16 '"
  done
}
both_up; both_ways; both_stop
