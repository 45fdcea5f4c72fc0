# traffic.sh: a steady stream of numbered packets both ways between the inner addresses of
# left and right, and which of them were lost:
#
#   traffic_start [RATE]        200 packets a second each way, by way of LIN and RIN, until
#   traffic_stop                it is stopped; the tunnel must be up (or what is lost until
#                               then counts)
#   traffic_lost                status 0 when no packet was lost, or not more of those from HOST
#                               than MAY_LOSE[HOST] (0) allows; prints sent, lost, duplicated, reordered, the longest
#                               gap, and the numbers and times of what was lost
#   traffic_count HOST          packets that have come to HOST so far
#   traffic_flows [SECONDS]     status 0 when new packets come to both hosts within SECONDS (10)
#   traffic_whole [WHAT]        stops it and checks that nothing was lost; prints the report
#   traffic_gap                 the longest time in s in which a host got nothing
#
# Times are of CLOCK_MONOTONIC, which the hosts share. Several streams at once: TRAFFIC=NAME
# before each of these words, with its own LIN, RIN.

TRAFFIC=t
declare -A TRAFFIC_PIDS
traffic_start() {
  local h from to f
  for h in left right; do
    f=$W/traffic.$TRAFFIC.$h; rm -f "$f" "$f.now"
    if [ $h = left ]; then from=$LIN to=$RIN; else from=$RIN to=$LIN; fi
    ip netns exec $h python3 -I -S "$LABSRC/traffic.py" run "$from" "$to" "${TRAFFIC_PORT:-7007}" "${1:-200}" "$f" \
      >"$f.log" 2>&1 </dev/null &
    TRAFFIC_PIDS[$TRAFFIC.$h]=$!
  done
  for h in left right; do               # nothing is sent to one that does not listen yet
    until [ -e "$W/traffic.$TRAFFIC.$h.now" ]; do
      kill -0 "${TRAFFIC_PIDS[$TRAFFIC.$h]}" 2>/dev/null || { cat "$W/traffic.$TRAFFIC.$h.log"; return 1; }
      sleep 0.05
    done
  done
  kill -USR1 "${TRAFFIC_PIDS[$TRAFFIC.left]}" "${TRAFFIC_PIDS[$TRAFFIC.right]}"
}
traffic_stop() {
  local h
  kill -TERM "${TRAFFIC_PIDS[$TRAFFIC.left]}" "${TRAFFIC_PIDS[$TRAFFIC.right]}" || return 1
  for h in left right; do
    wait "${TRAFFIC_PIDS[$TRAFFIC.$h]}" || { cat "$W/traffic.$TRAFFIC.$h.log"; return 1; }
    unset "TRAFFIC_PIDS[$TRAFFIC.$h]"
  done
}
traffic_report() { python3 -I -S "$LABSRC/traffic.py" report left "$W/traffic.$TRAFFIC.left" right "$W/traffic.$TRAFFIC.right"; }
declare -A MAY_LOSE
traffic_lost() {
  local report h lost not_sent
  report=$(traffic_report); echo "$report"
  for h in left right; do
    read -r lost not_sent <<<"$(sed -n "s/^$h to .*: sent [1-9][0-9]*, lost \([0-9]*\) (\([0-9]*\) .*/\1 \2/p" <<<"$report")"
    # What a peer's host could not send while the peer was changing its SAs is not ours to judge.
    [ "${KIND[$h]}" = ours ] || lost=$((lost - not_sent))
    [ -n "$lost" ] && [ "$lost" -le "${MAY_LOSE[$h]:-0}" ] || return 1
  done
}
traffic_whole() {
  check "the traffic stops" traffic_stop
  check "no packet is lost${1:+ $1}" traffic_lost
  traffic_report | grep -v '^ ' | sed 's/^/  /'
}
traffic_count() { local n _; read -r n _ <"$W/traffic.$TRAFFIC.$1.now" 2>/dev/null; echo "${n:-0}"; }
traffic_flows() {
  local end=$((SECONDS + ${1:-10})) h
  declare -A was=([left]=$(traffic_count left) [right]=$(traffic_count right))
  for h in left right; do
    until [ "$(traffic_count $h)" -gt "${was[$h]}" ]; do
      [ $SECONDS -lt $end ] || { echo "nothing comes to $h"; return 1; }
      sleep 0.05
    done
  done
}
traffic_gap() { traffic_report | sed -n 's/.*longest gap \([0-9.]*\) s.*/\1/p' | sort -n | tail -1; }
