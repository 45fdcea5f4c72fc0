# The left host is given an inner address out of the right one's pool, and a DNS server, which
# ours has in its resolv.conf meanwhile; when it comes back it gets the same one
# pairs: libreswan-strongswan ours-ours ours-libreswan ours-strongswan libreswan-ours strongswan-ours
. "$(dirname "$0")/../lab.sh"; net_pair
POOL=10.9.0.100-10.9.0.110 DNS=10.2.0.53
LADDR_right=%any LTS=0.0.0.0/0
OURS_LEFT_X="--addresspool $POOL" OURS_X="--modecfgdns $DNS --modecfgdomains example.com"

libreswan_conf() { # it refuses a subnet beside a pool
  local h=$1
  {
    printf 'config setup\nconn t\n\tkeyexchange=ikev2\n\tauthby=secret\n\tauto=add\n\tnarrowing=yes\n'
    printf '\tleft=%s\n\tleftid=@left\n\tright=%s\n\trightid=@right\n' "$(laddr "$h")" "$(raddr "$h")"
    printf '\trightsubnet=%s\n\tmodecfgpull=yes\n\trightmodecfgserver=yes\n\tleftmodecfgclient=yes\n' "$(rts "$h")"
    if [ "$h" = left ]; then printf '\tleftsubnet=0.0.0.0/0\n'
    else printf '\tleftaddresspool=%s\n\tmodecfgdns=%s\n\tmodecfgdomains=example.com\n' "$POOL" "$DNS"; fi
  } | etc "$h" ipsec.conf
  echo "@left @right : PSK \"$SECRET\"" | etc "$h" ipsec.secrets
}
eval "standard_$(declare -f strongswan_conf)"
strongswan_conf() { # vips and dynamic selectors on one side, a pool on the other
  local file=$W/$1/etc/swanctl/conf.d/t.conf
  STRONGSWAN_X="pools = p"; [ "$1" = right ] || STRONGSWAN_X="vips = 0.0.0.0"
  standard_strongswan_conf "$1"
  if [ "$1" = left ]; then sed -i 's|local_ts = .*|local_ts = dynamic|' "$file"
  else
    sed -i 's|remote_ts = .*|remote_ts = dynamic|' "$file"
    printf 'pools { p {\n addrs = %s\n dns = %s\n} }\n' "$POOL" "$DNS" >>"$file"
  fi
}

after_up() {
  check "left has the address" sh -c "ip -n left addr | grep -w $LIN"
  check "left sends from it" sh -c "ip -n left route get $RIN | grep -w 'src $LIN'"
  check "right has a policy for it alone" sh -c "ip -n right xfrm policy list nosock | grep -x 'src $RNET dst $LIN/32 '"
  if [ "${KIND[right]}" = ours ]; then
    check "the pool knows" sh -c "$(inside right) $PLUTO_BIN_DIR/whack --rundir /run/pluto --addresspoolstatus | grep '$LIN/32 assigned to'"
    check "the traffic too" sh -c "$(inside right) $PLUTO_BIN_DIR/whack --rundir /run/pluto --trafficstatus | grep 'lease=$LIN/32'"
  fi
  if [ "${KIND[left]}" = ours ]; then
    check "left's resolver asks the server" first_server "$DNS"
    [ "${KIND[right]}" != ours ] \
      || check "and in its domain" on left grep -x 'search example.com' /etc/resolv.conf
    check "left tells" grep "received IPv4 lease $LIN, updating source IP address" "$W/left.log"
    check "left tells the server" grep "received INTERNAL_IP4_DNS server address $DNS" "$W/left.log"
  fi
}
first_server() { [ "$(on left sed -n 's/^nameserver //p' /etc/resolv.conf | head -n 1)" = "$1" ]; }
as_before() { # a connection has its verb "down" run after whack's answer
  local i
  for i in {1..20}; do on left diff /srv/resolv.conf /etc/resolv.conf && return 0; sleep 0.2; done; return 1
}
[ "${KIND[left]}" != ours ] || { # the box's own, whatever this machine has
  printf '# of the administrator\nnameserver 192.0.2.53\noptions timeout:1\n' | etc left resolv.conf
  mkdir -p "$W/left/srv"; cp "$W/left/etc/resolv.conf" "$W/left/srv"
}
both_up
LIN=10.9.0.100
SIDES="left left" both_ways
if [ "${KIND[left]}" = ours ]; then
  check "left's resolv.conf is the old one after down" as_before
fi
if [ "${KIND[left]} ${KIND[right]}" = "ours ours" ]; then
  check "left initiates" init left t
  killed left
  check "a killed daemon leaves the server" first_server "$DNS"
  check "left starts again" up left
  check "left's resolv.conf is the old one then" as_before
  check "left initiates" init left t
  check "left's resolver asks the server" first_server "$DNS"
  check "left terminates" term left t
  check "left's resolv.conf is the old one again" as_before
fi
both_stop
