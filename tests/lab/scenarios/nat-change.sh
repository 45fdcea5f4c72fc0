# The address translator before the left host changes its public address, then only its port,
# under traffic, with every mapping forgotten: the right host follows (RFC 7296, 2.23), and what the left one
# sends is not lost (libreswan 5.2 does not follow, so it is never the right host)
# pairs: ours-ours ours-strongswan libreswan-ours strongswan-ours
. "$(dirname "$0")/../lab.sh"; net_nat
[ "$NAT" = tc ] || { echo "SKIP mappings are not changed by $NAT"; exit 0; }
LADDR_right=%any STRONGSWAN_X='mobike = no'
SUITE=aes-gcm
ESP[aes-gcm]='aes_gcm256;dh31' STRONGSWAN_ESP[aes-gcm]='aes256gcm16-x25519'
STRONGSWAN_CONF='delete_rekeyed_delay = 1'
PRIO=100
becomes() { # becomes ADDRESS: the new mapping takes precedence, then the old one goes
  local d
  ip -n nat addr add "$1/24" dev out0
  PRIO=$((PRIO - 1))
  ns nat tc filter add dev out0 ingress protocol ip prio $PRIO u32 match ip dst "$1" action nat ingress "$1/32" $LIP &&
  ns nat tc filter add dev out0 egress protocol ip prio $PRIO u32 match ip src $LIP action nat egress $LIP/32 "$1" || return 1
  for d in ingress egress; do ns nat tc filter del dev out0 $d protocol ip prio ${OLD:-49152}; done
  OLD=$PRIO NATIP=$1
}
becomes_port() { # becomes_port PORT: the same for the port to which 4500 of left is mapped
  local d
  PRIO=$((PRIO - 1))
  ns nat tc filter add dev out0 ingress protocol ip prio $PRIO u32 match ip dst $NATIP match ip dport $1 0xffff \
    action pedit ex munge udp dport set 4500 pipe action csum udp pipe action nat ingress $NATIP/32 $LIP &&
  ns nat tc filter add dev out0 egress protocol ip prio $PRIO u32 match ip src $LIP match ip sport 4500 0xffff \
    action pedit ex munge udp sport set $1 pipe action csum udp pipe action nat egress $LIP/32 $NATIP || return 1
  for d in ingress egress; do ns nat tc filter del dev out0 $d protocol ip prio $OLD; done
  OLD=$PRIO
}
follows_port() { # follows_port PORT
  local i
  for i in {1..120}; do kernel_shows right "sport ($1 dport 4500|4500 dport $1) " && return; sleep 0.1; done
  return 1
}
follows() { local i; for i in {1..120}; do kernel_shows right "src ($NATIP|$RIP) dst ($NATIP|$RIP)" && return; sleep 0.1; done; return 1; }
both_up
check "left initiates" init left t
carried left
check "traffic starts" traffic_start
for a in 198.51.100.9 198.51.100.10 198.51.100.11; do
  check "the translator takes $a" becomes $a
  check "right sends to it" follows
  check "traffic flows" traffic_flows
done
for p in 4501 20000; do
  check "the translator takes port $p" becomes_port $p
  check "right sends to it" follows_port $p
  check "traffic flows" traffic_flows
done
# What right has sent to an address that is no more, the network has lost.
MAY_LOSE=network
traffic_whole
for h in left right; do
  check "$h replaces the Child SA" replaced $h child
  check "$h replaces the IKE SA" replaced $h ike
done
check "one tunnel remains" settled
carried left
check "left terminates" term left t
nothing_installed "after terminate"
both_stop
