# lab.sh: what every scenario sources. A scenario describes a connection (policy.sh),
# makes a network (net.sh), puts a daemon on each side (box.sh, peers/*.sh) and checks
# what then happens (check.sh). It runs in User-Mode Linux (uml-run) or on a real host
# whose kernel has ESP; LEFT and RIGHT choose the kinds of daemon.
set -u
LABSRC=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
LAB=${LAB:-/var/tmp/ipsec-lab}
W=${W:-/dev/shm/lab.$$}              # scratch; /dev/shm is private in UML
mkdir -p "$W"
declare -A KIND=([left]=${LEFT:-ours} [right]=${RIGHT:-ours})
for part in net box policy check traffic; do . "$LABSRC/$part.sh"; done
for part in libreswan strongswan openiked ours; do . "$LABSRC/peers/$part.sh"; done
trap lab_end EXIT

# A peers/KIND.sh defines, for its KIND of daemon:
#   KIND_root             the root directory to chroot into
#   KIND_conf HOST        write the standard connection "t" (policy.sh) in its dialect
#   KIND_up HOST          start it, wait until it listens; sets DAEMON[HOST]
#   KIND_stop HOST        stop it in order
#   KIND_init HOST CONN   initiate; wait; status 0 when the Child SA is up
#   KIND_term HOST CONN   take the connection's SAs down
#   KIND_route, KIND_unroute HOST CONN    on-demand on and off
#   KIND_rekey HOST CONN ike|child        replace that SA; some do not wait for the outcome
#   KIND_sas HOST         a line for each SA: ike|child|other NUMBER up|transient
#   KIND_stale HOST       after a kill -9: what an administrator must clear by hand
#   KIND_says             what its log says of a given mishap or success, as a regex (below)
peer()    { box "$1" "$1" "$(${KIND[$1]}_root)"; }   # peer HOST: its box, not yet its daemon
up()      { ${KIND[$1]}_up "$1"; }
stop()    { ${KIND[$1]}_stop "$1"; }
init()    { ${KIND[$1]}_init "$@"; }
term()    { ${KIND[$1]}_term "$@"; }
route()   { ${KIND[$1]}_route "$@"; }
unroute() { ${KIND[$1]}_unroute "$@"; }
rekey()   { ${KIND[$1]}_rekey "$@"; }
sas()     { ${KIND[$1]}_sas "$1"; }
stale()   { ${KIND[$1]}_stale "$1"; }
says()    { # says HOST MISHAP: the log of HOST tells of it
  local regex; regex=$(${KIND[$1]}_says "$2"); waitlog "$1" "$regex" 10 && grep -E -m2 "$regex" "$W/$1.log"
}
told()    { grep -c -E "$(${KIND[$1]}_says "$2")" "$W/$1.log"; }    # told HOST SUCCESS: how often so far
killed()  { kill -KILL "${DAEMON[$1]}"; wait "${DAEMON[$1]}" 2>/dev/null; true; }

# both_up: write the connection for both sides, make both boxes, start both daemons.
both_up() {
  local h
  for h in left right; do
    "${KIND[$h]}_conf" "$h"; peer "$h" || exit 1; kernel "$h" >"$W/$h.before"
  done
  for h in left right; do
    check "$h starts (${KIND[$h]})" up "$h"; kernel "$h" >"$W/$h.idle"
  done
  [ "$FAILS" = 0 ] || { logs; exit 1; }
}
# both_stop: stop both and look for what they left behind.
both_stop() {
  local h
  [ "$FAILS" = 0 ] || logs
  for h in right left; do check "$h stops" stop "$h"; done
  for h in left right; do check "$h left nothing in its kernel" back_to "$h" before; done
}
lab_end() {
  local status=$? p
  for p in "${DAEMON[@]}" "${KEEPER[@]}" "${TRAFFIC_PIDS[@]}"; do kill -KILL "$p" 2>/dev/null; done
  wait 2>/dev/null; net_down; [ -n "${KEEP:-}" ] || rm -rf "$W"
  [ "$FAILS" = 0 ] || exit 1
  exit $status
}
