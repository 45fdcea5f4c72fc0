# Both hosts initiate at the same instant, over a wire so slow that their IKE_SA_INITs cross:
# one tunnel remains (strongSwan keeps both where it would be its own to delete one: with it,
# it is enough that packets flow)
# pairs: ours-ours ours-strongswan
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm
[ "${KIND[*]}" = "ours ours" ] || settled() { sleep 1; ping_from left; }
both_up
for h in left right; do
  check "a slow wire from $h" tc -n $h qdisc add dev eth0 root netem delay 40ms limit 10000
done
both_initiate() {
  local h pids=()
  for h in left right; do init $h t >"$W/$h.init" 2>&1 & pids+=($!); done
  wait "${pids[@]}"
  settled 20 || { tail -n 20 "$W"/*.init; return 1; }
}
for round in 1 2; do
  check "one tunnel is left of two" both_initiate
  check "traffic starts" traffic_start
  sleep 2
  check "it is still the only one" settled
  traffic_whole
  check "ping from left" ping_from left
  check "left terminates" term left t
  for h in left right; do term $h t >/dev/null 2>&1; done
  nothing_installed "after terminate"
done
both_stop
