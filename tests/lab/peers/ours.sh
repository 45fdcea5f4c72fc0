# peers/ours.sh: our pluto and whack, from the build, on this machine's own root.
# $PLUTO_BIN_DIR is where they are (find-binaries says, if it is not set).

PLUTO_BIN_DIR=${PLUTO_BIN_DIR:-$("$LABSRC/find-binaries" 2>/dev/null || true)}
OURS_PLUTO_X=${OURS_PLUTO_X:-}       # words for pluto; OURS_PLUTO_X_left for one host
ours_root() { echo /; }
ours_rundir() { echo /run/pluto; }   # of HOST, as its box sees it
ours_secrets() { echo /etc/ipsec.secrets; }
ours_conf() { # whack's words go to a file, one a line, for ours_up
  local h=$1 s words
  words=(--name t --ikev2 --psk)
  words+=(--host "$(laddr "$h")" --id @left)
  [ "$MODE" = transport ] || words+=(--subnet "$(lts "$h")")
  words+=($OURS_LEFT_X)
  words+=(--to --host "$(raddr "$h")" --id @right)
  [ "$MODE" = transport ] || words+=(--subnet "$(rts "$h")")
  words+=($OURS_RIGHT_X)
  [ "$MODE" = tunnel ] || words+=(--transport)
  s=$(ike_suite "$h"); [ "$s" = default ] || words+=(--ike "${IKE[$s]}")
  s=$(esp_suite "$h"); [ "$s" = default ] || words+=(--esp "${ESP[$s]}")
  [ -z "$NARROWING" ] || words+=(--narrowing yes)
  words+=($OURS_X)
  mkdir -p "$W/$h"; printf '%s\n' "${words[@]}" >"$W/$h/connection"
  echo "@left @right : PSK \"$(of "$h" SECRET)\"" | etc "$h" ipsec.secrets
}
whack() { local h=$1; shift; on "$h" timeout "${WHACK_T:-30}" "$PLUTO_BIN_DIR/whack" --rundir "$(ours_rundir "$h")" "$@"; }
ours_start() { # the daemon alone, until it answers
  (onx "$1" env ${OURS_ENV:-A=b} "$PLUTO_BIN_DIR/pluto" --nofork --stderrlog --rundir "$(ours_rundir "$1")" \
    --statedir "$(ours_rundir "$1")" \
    --secretsfile "$(ours_secrets "$1")" $(of "$1" OURS_PLUTO_X)) >>"$W/$1.log" 2>&1 </dev/null &
  DAEMON[$1]=$!
  until on "$1" test -S "$(ours_rundir "$1")/pluto.ctl" && whack "$1" --status >"$W/$1.status" 2>&1; do
    alive "$1" || return 1; sleep 0.1
  done
}
ours_up() {
  local words
  ours_start "$1" || return 1
  mapfile -t words <"$W/$1/connection"
  whack "$1" --listen || return 1
  [ ${#words[@]} = 0 ] || whack "$1" "${words[@]}"
}
ours_stop() {
  whack "$1" --shutdown || { kill -KILL "${DAEMON[$1]}"; return 1; }
  wait "${DAEMON[$1]}"
}
ours_init() { WHACK_T=${OURS_INIT_T:-90} whack "$1" --name "$2" --initiate; }   # 124: it has not made up its mind
ours_term() { whack "$1" --name "$2" --down; }
ours_route() { whack "$1" --name "$2" --route; }
ours_unroute() { whack "$1" --name "$2" --unroute; }
ours_rekey() { whack "$1" --name "$2" --rekey-$3; }
ours_sas() { whack "$1" --showstates | whack_sas; }
ours_stale() { rm -f "$W/$1.log"; }         # ours must clear up after its predecessor by itself
ours_says() {
  case $1 in
    dead) echo 'second timeout exceeded';;
    rekeyed-ike) echo 'rekeyed IKE SA';;
    rekeyed-child) echo 'rekeyed Child SA';;
    wrong-psk) echo 'AUTHENTICATION_FAILED';;
    no-proposal) echo 'NO_PROPOSAL_CHOSEN';;
  esac
}
