# traffic.sh: a steady stream of numbered packets both ways between the inner addresses of
# left and right, and which of them were lost:
#
#   traffic_start [RATE]        200 packets a second each way, between LIN and RIN (or the addresses
#                               TRAFFIC_LEFT and TRAFFIC_RIGHT, with commas: in turn), until
#   traffic_stop                it is stopped; the tunnel must be up (or what is lost until
#                               then counts)
#   traffic_lost                status 0 when no packet was lost but by the network where it may
#                               (MAY_LOSE=network), at times EXCUSED=("FROM TO" ...), or through
#                               the fault of a peer's host, which losses.py tells; prints sent,
#                               lost, duplicated, reordered, the longest gap, and what was lost when,
#                               and by whose fault
#   traffic_count HOST          packets that have come to HOST so far
#   traffic_flows [SECONDS]     status 0 when new packets come to both hosts within SECONDS (10)
#   traffic_whole [WHAT]        stops it and checks that nothing was lost; prints the report
#   traffic_gap                 the longest time in s in which a host got nothing
#
# Times are of CLOCK_MONOTONIC (traffic_clock), which the hosts share. Several streams at once: TRAFFIC=NAME
# before each of these words, with its own LIN, RIN.

TRAFFIC=t
declare -A TRAFFIC_PIDS
traffic_start() {
  local h from to f
  for h in left right; do
    f=$W/traffic.$TRAFFIC.$h; rm -f "$f" "$f.now"
    from=${TRAFFIC_LEFT:-$LIN} to=${TRAFFIC_RIGHT:-$RIN}
    [ $h = left ] || { from=${TRAFFIC_RIGHT:-$RIN} to=${TRAFFIC_LEFT:-$LIN}; }
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
MAY_LOSE= EXCUSED=()
traffic_clock() { local s _; read -r s _ </proc/uptime; echo "$s"; }
traffic_whose() {
  local words=() times
  [ "$MAY_LOSE" != network ] || words=(--network)
  for times in ${EXCUSED[@]+"${EXCUSED[@]}"}; do words+=(--while $times); done
  python3 -I -S "$LABSRC/losses.py" ${words[@]+"${words[@]}"} \
    "${KIND[left]}" "$W/traffic.$TRAFFIC.left" "${KIND[right]}" "$W/traffic.$TRAFFIC.right"
}
traffic_lost() {
  traffic_report; traffic_whose && return
  # KEEP_TRAFFIC, a directory of this machine: to look closer
  [ -z "${KEEP_TRAFFIC:-}" ] || cp "$W/traffic.$TRAFFIC".{left,right} "$KEEP_TRAFFIC"; return 1
}
traffic_whole() {
  check "the traffic stops" traffic_stop
  check "no packet is lost by us${1:+ $1}" traffic_lost
  { traffic_report | grep -v '^ '; traffic_whose; } | sed 's/^/  /'
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
