# Both hosts initiate at the same instant, over a wire so slow that their IKE_SA_INITs cross:
# of two tunnels, that which has to go is deleted by who has begun it, and no packet is lost.
# libreswan and strongSwan keep both where it would be their own.
# pairs: ours-ours ours-strongswan ours-libreswan
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm
both_up
for h in left right; do
  check "a slow wire from $h" tc -n $h qdisc add dev eth0 root netem delay 40ms limit 10000
done
both_initiate() {
  local h pids=()
  for h in left right; do init $h t >"$W/$h.init" 2>&1 & pids+=($!); done
  wait "${pids[@]}"
  sleep 0.3                      # the last exchange ends for both
  for h in left right; do sas $h | grep -q 'child .* up' || { tail -n 20 "$W"/*.init; return 1; }; done
}
one_left() {
  if [ "${KIND[*]}" = "ours ours" ]; then settled 20; return; fi
  sleep 3                        # who has begun what goes deletes it within a second
  local all; all=$(sas left); echo "$all"
  [ "$(grep -c '^child' <<<"$all")" = 1 ] || ! superseded
}
superseded() { grep -q 'is superseded by' "$W/left.log"; }
for round in 1 2 3; do
  for h in left right; do : >"$W/$h.log"; done
  check "both initiate" both_initiate
  check "traffic starts" traffic_start
  check "one tunnel is left of two" one_left
  sleep 2
  traffic_whole
  check "ping from left" ping_from left
  check "left terminates" term left t
  for h in left right; do term $h t >/dev/null 2>&1; done
  nothing_installed "after terminate"
done
both_stop
