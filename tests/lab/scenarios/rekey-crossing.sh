# Both sides are told at the same instant to replace the Child SA, then the IKE SA, over a
# wire so slow that their requests cross (RFC 7296, 2.8.1 and 2.8.2); one of each remains
# (libreswan 5.2 keeps both Child SAs, and when IKE SAs cross it loses their children: with it
# only the traffic of one round of Child SAs is looked at)
# pairs: ours-ours ours-libreswan ours-strongswan
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm ROUNDS=10
what="child ike"
[[ ${KIND[*]} != *libreswan* ]] || { ROUNDS=1 what=child; settled() { sleep 1; traffic_flows; }; }
ESP[aes-gcm]='aes_gcm256;dh31' STRONGSWAN_ESP[aes-gcm]='aes256gcm16-x25519'
STRONGSWAN_CONF='delete_rekeyed_delay = 1'
both_up
check "left initiates" init left t
for h in left right; do
  check "a slow wire from $h" tc -n $h qdisc add dev eth0 root netem delay 40ms limit 10000
done
crossing() { # crossing ike|child: once
  local h pids=()
  declare -A was
  for h in left right; do was[$h]=$(told $h "rekeyed-$1"); done
  for h in left right; do rekey $h t "$1" >"$W/$h.rekey" 2>&1 & pids+=($!); done
  wait "${pids[@]}"
  settled || return 1
  for h in left right; do
    [ "$(told $h "rekeyed-$1")" -gt "${was[$h]}" ] || { echo "$h has not got a new one"; cat "$W"/*.rekey; return 1; }
  done
}
crossings() {
  local i
  for ((i = 1; i <= ROUNDS; i++)); do crossing "$1" || { echo "in round $i"; return 1; }; done
}
check "traffic starts" traffic_start
for w in $what; do check "the $w SA is replaced by both at once, $ROUNDS times" crossings $w; done
check "traffic flows" traffic_flows
traffic_whole
[ "$what" = child ] || carried right
check "left terminates" term left t
nothing_installed "after terminate"
both_stop
