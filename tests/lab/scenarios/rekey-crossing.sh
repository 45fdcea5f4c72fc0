# Both sides are told at the same instant to replace the Child SA, then the IKE SA, over a
# wire so slow that their requests cross (RFC 7296, 2.8.1 and 2.8.2), as the log must tell of ours
# with ours; one of each remains
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
# ahead: in ms, by how much longer a command to the daemon of right takes than one to that of left
ahead() {
  local h n begin
  declare -A took
  for h in left right; do
    sas $h >/dev/null; begin=${EPOCHREALTIME/[.,]/}
    for n in 1 2 3 4; do sas $h >/dev/null; done
    took[$h]=$(((${EPOCHREALTIME/[.,]/} - begin) / 4000))
  done
  echo $((${took[right]} - ${took[left]}))
}
AHEAD=
crossing() { # crossing ike|child MS: once, left so much later
  local h pids=() wait=$(($2 > 0 ? $2 : 0))
  declare -A was
  for h in left right; do was[$h]=$(told $h "rekeyed-$1"); done
  { [ $wait = 0 ] || sleep "$(printf '%d.%03d' $((wait / 1000)) $((wait % 1000)))"; rekey left t "$1"; } >"$W/left.rekey" 2>&1 & pids+=($!)
  rekey right t "$1" >"$W/right.rekey" 2>&1 & pids+=($!)
  wait "${pids[@]}"
  settled || return 1
  for h in left right; do
    [ "$(told $h "rekeyed-$1")" -gt "${was[$h]}" ] || { echo "$h has not got a new one"; cat "$W"/*.rekey; return 1; }
  done
}
crossings() { # where they differ, a little more and less than by what the commands do
  local i
  for ((i = 1; i <= ROUNDS; i++)); do
    crossing "$1" $((${AHEAD:-0} + (${#AHEAD} > 0 ? 20 * (i - 5) : 0))) || { echo "in round $i"; return 1; }
  done
}
declare -A MADE=([child]='both ends have rekeyed; .* this Child SA' [ike]='both ends have rekeyed; .* this IKE SA')
# tells HOST REGEX: how often its log does, of this kind of SA
tells() { tail -n "+$((${since[$1]} + 1))" "$W/$1.log" | grep -c -E "$2"; }
crossed() { # crossed ike|child: each log of ours tells of two that were made for one, or of one put off by the other
  local h regex=${MADE[$1]}
  [ "${KIND[*]}" = "ours ours" ] || regex+='|TEMPORARY_FAILURE'
  for h in left right; do
    [ "${KIND[$h]}" != ours ] || [ "$(tells $h "$regex")" -gt 0 ] || { echo "$h does not tell of it"; tail -n 60 "$W/$h.log"; return 1; }
  done
}
declare -A since
check "traffic starts" traffic_start
[ "$ROUNDS" = 1 ] || [ "${KIND[left]}" = "${KIND[right]}" ] || { AHEAD=$(ahead); echo "  left has $AHEAD ms more"; }
for w in $what; do
  for h in left right; do since[$h]=$(wc -l <"$W/$h.log"); done
  check "the $w SA is replaced by both at once, $ROUNDS times" crossings $w
  for h in left right; do
    [ "${KIND[$h]}" != ours ] || echo "  of the $w SA, $h tells $(tells $h "${MADE[$w]}") times that both have made one, $(tells $h TEMPORARY_FAILURE) times of TEMPORARY_FAILURE"
  done
  # libreswan and strongSwan may be told a moment too late: with them it is only said
  [ "${KIND[*]}" != "ours ours" ] || check "requests for the $w SA have crossed" crossed $w
done
check "traffic flows" traffic_flows
traffic_whole
[ "$what" = child ] || carried right
check "left terminates" term left t
nothing_installed "after terminate"
both_stop
