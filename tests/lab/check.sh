# check.sh: checks, each printing a PASS or FAIL line, and the usual sequence of them.

FAILS=0
ok()   { echo "PASS $*"; }
fail() { echo "FAIL $*"; FAILS=$((FAILS + 1)); }
check() { # check WHAT COMMAND...: it succeeds
  local what=$1; shift
  if "$@" >"$W/check.out" 2>&1; then ok "$what"; else fail "$what"; sed 's/^/    /' "$W/check.out"; fi
  [ -z "${V:-}" ] || sed 's/^/  | /' "$W/check.out"
}
check_not() { # check_not WHAT COMMAND...: it fails
  local what=$1; shift
  if "$@" >"$W/check.out" 2>&1; then fail "$what"; sed 's/^/    /' "$W/check.out"; else ok "$what"; fi
}
logs() { local n; for n in left right; do echo "--- log of $n (${KIND[$n]})"; tail -n "${LOGN:-60}" "$W/$n.log"; done; }

pings() { ns "$1" ping -c "${4:-3}" -i 0.2 -W 2 -q -I "$2" "$3"; }   # pings HOST FROM TO [COUNT]
ping_from() { # ping_from HOST [COUNT]: from that host's inner address to the other's
  if [ "$1" = left ]; then pings left "$LIN" "$RIN" "${2:-3}"; else pings right "$RIN" "$LIN" "${2:-3}"; fi
}

# counted HOST [N]: exactly N (2) ESP SAs, each of which has counted packets (those with
# SPI 0 are the kernel's own notes that it has asked for one)
counted() {
  ns "$1" ip -s xfrm state | awk -v want="${2:-2}" '
    /^src/ { esp = 0 } /proto esp spi/ && !/spi 0x00000000/ { esp = 1; sas++ }
    /lifetime current/ { getline; if (esp && $2 + 0 > 0) used++ }
    END { print sas + 0 " SAs, " used + 0 " used"; exit !(sas == want && used == want) }'
}
# kernel_shows HOST REGEX: each SA, taken as one line, matches (but the kernel's own notes)
kernel_shows() {
  local sas bad
  sas=$(ns "$1" ip xfrm state | awk '/^src/ && n++ { print "" } { printf "%s ", $0 } END { if (n) print "" }')
  sas=$(grep -v 'spi 0x00000000' <<<"$sas")
  bad=$(grep -v -E "$2" <<<"$sas")
  [ -n "$sas" ] && [ -z "$bad" ] || { echo "no SAs, or one that does not match /$2/: $bad"; return 1; }
}

# kernel HOST: SAs, policies (per-socket ones aside) and routes of a host
kernel() {
  ip -n "$1" xfrm state
  ip -n "$1" xfrm policy list nosock
  { ip -n "$1" route show table all; ip -n "$1" -6 route show table all; } | grep -v -E '(fe80|ff00)::' | sort
}
# back_to HOST MOMENT: its kernel is as it was then (before, idle); otherwise the difference
back_to() {
  local i
  for i in {1..8}; do kernel "$1" | diff "$W/$1.$2" - >"$W/diff" && return 0; sleep 0.5; done
  cat "$W/diff"; return 1
}
nothing_installed() { # nothing_installed WHEN: on both sides
  local h
  for h in left right; do check "$1: nothing in the kernel of $h" back_to "$h" idle; done
}

carried() { # carried HOST [PINGS]: pings from HOST and counters on both sides
  local h
  check "ping from $1" ping_from "$1" "${2:-3}"
  for h in left right; do check "counters on $h" counted "$h"; done
}

# both_ways: each side (or SIDES) in turn initiates, pings (PINGS times; one must return), has
# packets counted on both
# sides, terminates; then nothing is left. A scenario's after_up HOST looks closer.
both_ways() {
  local h
  for h in ${SIDES:-left right}; do
    check "$h initiates" init "$h" t
    carried "$h" "${PINGS:-3}"
    [ -z "$(type -t after_up)" ] || after_up "$h"
    check "$h terminates" term "$h" t
    nothing_installed "after terminate"
  done
}
refused() { # refused HOST: it initiates in vain; ours must notice that by itself
  local status=0
  init "$1" t || status=$?
  echo "status $status"
  [ $status != 0 ] && { [ "${KIND[$1]}" != ours ] || [ $status != 124 ]; }
}
# refused_both_ways MISHAP: each side in turn initiates in vain; both logs say why
refused_both_ways() {
  local h g INIT_T=8
  for h in ${SIDES:-left right}; do
    for g in left right; do : >"$W/$g.log"; done
    check "$h does not get a tunnel" refused "$h"
    for g in left right; do check "$g says so" says "$g" "$1"; done
    check_not "no ping" ping_from "$h" 1
    term "$h" t >/dev/null 2>&1          # a daemon that would try again must not
    nothing_installed "after the refusal"
  done
}

# replaced HOST ike|child: HOST rekeys that SA, and both say so
replaced() {
  local end=$((SECONDS + 10)) h
  declare -A was
  for h in left right; do was[$h]=$(told $h "rekeyed-$2"); done
  rekey "$1" t "$2" || { echo "status $?"; return 1; }
  for h in left right; do
    until [ "$(told $h "rekeyed-$2")" -gt "${was[$h]}" ]; do
      [ $SECONDS -lt $end ] || { echo "$h does not say so"; sas $h; return 1; }
      sleep 0.02
    done
  done
}
replaced_times() { # replaced_times N HOST ike|child
  local i
  for ((i = 1; i <= $1; i++)); do replaced "$2" "$3" || { echo "at the ${i}th time"; return 1; }; done
}
# settled: on both hosts one IKE SA, one Child SA and nothing else, two SAs in the kernel;
# what was rekeyed may linger for some seconds before (strongSwan: 5)
settled() {
  local end=$((SECONDS + ${1:-12})) h all
  for h in left right; do
    until all=$(sas $h); n=$(ip -n $h xfrm state | grep -c 'proto esp spi'); \
        [ "$(awk '{ print $1, $3 }' <<<"$all" | sort | xargs)" = "child up ike up" ] && [ "$n" = 2 ]; do
      [ $SECONDS -lt $end ] || { echo "$h: $n SAs in the kernel, and"; echo "$all"; ip -n $h xfrm state | grep spi; return 1; }
      sleep 0.3
    done
  done
}
