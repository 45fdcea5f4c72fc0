# The left host is given an inner address out of the right one's pool, and a DNS server, which
# ours has in its resolv.conf meanwhile; when it comes back it gets the same one. Ours with ours:
# an address of each family, which the right one keeps for it while it is started anew
# pairs: libreswan-strongswan ours-ours ours-libreswan ours-strongswan libreswan-ours strongswan-ours
. "$(dirname "$0")/../lab.sh"; net_pair
POOL=10.9.0.100-10.9.0.110 DNS=10.2.0.53
LADDR_right=%any LTS=0.0.0.0/0
POOL6=
[ "${KIND[left]} ${KIND[right]}" != "ours ours" ] || POOL6=fd09::100-fd09::110 LTS=0.0.0.0/0,::/0 RTS=$RNET,$RNET6
OURS_LEFT_X="--addresspool $POOL${POOL6:+,$POOL6}" OURS_X="--modecfgdns $DNS --modecfgdomains example.com"

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
eval "standard_$(declare -f ours_conf)"
ours_conf() { standard_ours_conf "$1"; [ -z "$POOL6" ] || echo "@other @right : PSK \"$SECRET\"" >>"$W/$1/etc/ipsec.secrets"; }
another() { # another HOST: its connection once more, for a client @other
  local words
  mapfile -t words <"$W/$1/connection"; words[1]=other
  whack "$1" "${words[@]/#@left/@other}"
}

after_up() {
  check "left has the address" sh -c "ip -n left addr | grep -w $LIN"
  check "left sends from it" sh -c "ip -n left route get $RIN | grep -w 'src $LIN'"
  check "right has a policy for it alone" sh -c "ip -n right xfrm policy list nosock | grep -x 'src $RNET dst $LIN/32 '"
  if [ "${KIND[right]}" = ours ]; then
    check "the pool knows" sh -c "$(inside right) $PLUTO_BIN_DIR/whack --rundir /run/pluto --addresspoolstatus | grep '$LIN/32 assigned to'"
    check "the traffic too" sh -c "$(inside right) $PLUTO_BIN_DIR/whack --rundir /run/pluto --trafficstatus | grep 'lease=.*$LIN/32'"
  fi
  [ -z "$POOL6" ] || after_up6
  if [ "${KIND[left]}" = ours ]; then
    check "left's resolver asks the server" first_server "$DNS"
    [ "${KIND[right]}" != ours ] \
      || check "and in its domain" on left grep -x 'search example.com' /etc/resolv.conf
    check "left tells" grep "received IPv4 lease $LIN, updating source IP address" "$W/left.log"
    check "left tells the server" grep "received INTERNAL_IP4_DNS server address $DNS" "$W/left.log"
  fi
}
after_up6() {
  check "left has the IPv6 address" sh -c "ip -n left -6 addr | grep -w $LIN6"
  check "left sends from it, too" sh -c "ip -n left -6 route get $RIN6 | grep -w 'src $LIN6'"
  check "right has a policy for that alone" sh -c "ip -n right xfrm policy list nosock | grep -x 'src $RNET6 dst $LIN6/128 '"
  check "the pool knows that one" sh -c "$(inside right) $PLUTO_BIN_DIR/whack --rundir /run/pluto --addresspoolstatus | grep '$LIN6/128 assigned to'"
  check "the traffic that, too" sh -c "$(inside right) $PLUTO_BIN_DIR/whack --rundir /run/pluto --trafficstatus | grep 'lease=.*$LIN6/128'"
  check "left tells of that" grep "received IPv6 lease $LIN6, updating source IP address" "$W/left.log"
  check "ping over IPv6" pings left $LIN6 $RIN6
  check "ping over IPv6 from right" pings right $RIN6 $LIN6
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
[ -z "$POOL6" ] || LIN6=fd09::100
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
  check "right stops" stop right
  check "right starts again" up right
  # A pool that knew nothing would give the first addresses to whoever comes first.
  for h in left right; do check "another client's connection on $h" another $h; done
  check "another client initiates" init left other
  for a in 10.9.0.101 fd09::101; do check "it has $a" sh -c "ip -n left addr | grep -w $a"; done
  check "left initiates" init left t
  after_up left
  for a in 10.9.0.101 fd09::101; do check "the other client has $a still" sh -c "ip -n left addr | grep -w $a"; done
  for c in other t; do check "$c goes" term left $c; done
  nothing_installed "after terminate"
  check "left's resolv.conf is the old one once more" as_before
fi
both_stop
