# net.sh: the hosts, as network namespaces joined by veth pairs.
#
#   net_pair       left -- right
#   net_nat        left -- nat -- right        left is behind an address translator
#   net_down       take all of it away
#
# Outer addresses are on eth0, inner ones on lo; each host's default route points at
# its neighbour, so that without a tunnel inner packets would go out in clear. The
# guard drops those: a ping that succeeds really went through a tunnel.

LIP=198.51.100.1 RIP=198.51.100.2 LIP6=2001:db8::1 RIP6=2001:db8::2
LNET=10.1.0.0/24 RNET=10.2.0.0/24 LIN=10.1.0.1 RIN=10.2.0.1
LNET6=fd01::/64 RNET6=fd02::/64 LIN6=fd01::1 RIN6=fd02::1

ns() { ip netns exec "$@"; }

mkns() { # mkns NAME...: an empty host that forwards and lets asymmetric routes be
  local n
  for n; do
    ip netns add "$n"; ip -n "$n" link set lo up
    ns "$n" sh -c 'for i in all default lo; do echo 0 >/proc/sys/net/ipv4/conf/$i/rp_filter; done
      echo 1 >/proc/sys/net/ipv4/ip_forward
      echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
      for i in all default; do echo 0 >/proc/sys/net/ipv4/conf/$i/send_redirects; done'
  done
}

wire() { # wire HOST1 DEVICE1 HOST2 DEVICE2
  ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
  ip -n "$1" link set "$2" up; ip -n "$3" link set "$4" up
}

inner() { # inner HOST IPV4 IPV6
  ip -n "$1" addr add "$2/32" dev lo; ip -n "$1" -6 addr add "$3/128" dev lo
}

# drop_clear HOST TC-MATCH NFT-MATCH: drop what matches and leaves eth0 unencrypted.
# tc, which sees packets after ESP, or nft where the kernel has it and no tc.
drop_clear() {
  local protocol=ip family=ip
  case $2 in *ip6*) protocol=ipv6;; esac
  ns "$1" tc qdisc add dev eth0 clsact 2>/dev/null
  ns "$1" tc filter add dev eth0 egress protocol $protocol u32 match $2 action drop 2>/dev/null && return
  ns "$1" nft "add table inet guard; add chain inet guard out { type filter hook output priority 0; }
    add rule inet guard out oifname eth0 $3 rt ipsec missing drop" 2>/dev/null && return
  echo "FAIL no guard on $1: neither tc nor nft"; exit 1
}
guard() { # guard HOST...
  local n
  for n; do
    drop_clear "$n" "ip src 10.0.0.0/8" "ip saddr 10.0.0.0/8"
    drop_clear "$n" "ip6 src fd00::/8" "ip6 saddr fd00::/8"
  done
}
guard_ping() { # guard_ping HOST...: for transport mode, no echo in clear at all
  local n; for n; do drop_clear "$n" "ip protocol 1 0xff" "ip protocol icmp"; done
}

net_pair() {
  mkns left right; wire left eth0 right eth0
  ip -n left addr add $LIP/24 dev eth0;  ip -n left addr add $LIP6/64 dev eth0 nodad
  ip -n right addr add $RIP/24 dev eth0; ip -n right addr add $RIP6/64 dev eth0 nodad
  ip -n left route add default via $RIP;  ip -n left -6 route add default via $RIP6
  ip -n right route add default via $LIP; ip -n right -6 route add default via $LIP6
  inner left $LIN $LIN6; inner right $RIN $RIN6; guard left right
}

# net_nat: left 192.168.77.2 -- .1 nat 198.51.100.1 -- 198.51.100.2 right.
# NAT says what the kernel could do: nft or iptables masquerade with random ports
# (a real host; UML 6.1), or tc translates addresses one to one (UML 7.x).
net_nat() {
  NATIP=198.51.100.1 LIP=192.168.77.2
  mkns left nat right; wire left eth0 nat in0; wire nat out0 right eth0
  ip -n left addr add $LIP/24 dev eth0; ip -n nat addr add 192.168.77.1/24 dev in0
  ip -n nat addr add $NATIP/24 dev out0; ip -n right addr add $RIP/24 dev eth0
  ip -n left route add default via 192.168.77.1; ip -n right route add default via $NATIP
  inner left $LIN $LIN6; inner right $RIN $RIN6; guard left right
  modprobe -qa iptable_nat xt_MASQUERADE 2>/dev/null
  if ns nat chroot "$LIBRESWAN" nft 'add table ip n; add chain ip n p { type nat hook postrouting priority 100; }
      add rule ip n p oifname out0 masquerade random' 2>/dev/null; then NAT=nft
  elif ns nat chroot "$LIBRESWAN" iptables-legacy -t nat -A POSTROUTING -o out0 -j MASQUERADE --random 2>/dev/null; then NAT=iptables
  else
    NAT=tc; ns nat tc qdisc add dev out0 clsact
    ns nat tc filter add dev out0 egress protocol ip u32 match ip src $LIP action nat egress $LIP/32 $NATIP
    ns nat tc filter add dev out0 ingress protocol ip u32 match ip dst $NATIP action nat ingress $NATIP/32 $LIP
  fi
  echo "address translation by $NAT"
}

net_down() { local n; for n in left nat right; do ip netns del $n 2>/dev/null; done; }
