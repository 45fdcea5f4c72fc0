# The address translator before the left host changes its public address under traffic, with
# every mapping forgotten: the right host follows (RFC 7296, 2.23), and what the left one
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
# What right has sent to an address that is no more, the network has lost. The kernel cannot
# change the source of an SA in place: a packet may come just when one is replaced by the
# other (and strongSwan takes its SAs away for longer).
MAY_LOSE[right]=60 MAY_LOSE[left]=3
[ "${KIND[right]}" != strongswan ] || MAY_LOSE[left]=60
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
