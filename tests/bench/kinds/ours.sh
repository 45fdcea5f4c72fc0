# kinds/ours.sh: ours in bulk. See ../measure for what each function does. The backend is
# "none", which negotiates and installs nothing; but one tunnel alone (once) is measured
# with the XFRM backend and the same fake kernel as the peers', so that it includes the
# route and the source address.

ours_request() { # ours_request I: what adds connection cI, as whack would ask for it
  printf '{"version":1,"command":"add","connection":{"name":"c%d","source":"bench",' "$1"
  printf '"left":{"host":"%s","id":"@l%d","subnet":"%s"},' "$(left_address "$1")" "$1" "$(net_of 11 "$1")"
  printf '"right":{"host":"%s","id":"@r%d","subnet":"%s"},' "$RIP" "$1" "$(net_of 12 "$1")"
  printf '"options":{"keyexchange":"ikev2","authby":"secret","ike":"aes_gcm256-sha2_256;dh31","esp":"aes_gcm256"}}}\n'
}
ours_ask() { on "$1" python3 "$BENCH/control.py" /run/pluto/pluto.ctl; }
ours_many() {
  local h=$1 n=$2 i
  OURS_PLUTO_X=--use-none
  mkdir -p "$W/$h"; : >"$W/$h/connection"
  for ((i = 1; i <= n; i++)); do ours_request $i; done >"$W/$h.bulk"
  echo ': PSK "bulk secret"' | etc "$h" ipsec.secrets
}
ours_load() { ours_ask "$1" <"$W/$1.bulk"; }
ours_add_one() {
  timed "$1" "$PLUTO_BIN_DIR/whack" --rundir /run/pluto --name one --ikev2 --psk --host "$LIP" --id @lone --subnet 10.9.9.0/24 \
    --to --host "$RIP" --id @rone --subnet 10.9.8.0/24 --ike 'aes_gcm256-sha2_256;dh31' --esp aes_gcm256
}
ours_paced() { on left sh -c "seq $1 | xargs -P $2 -I{} $PLUTO_BIN_DIR/whack --name c{} --initiate"; }
ours_at_once() {
  local i
  for ((i = 1; i <= $1; i++)); do echo "{\"version\":1,\"command\":\"initiate\",\"name\":\"c$i\",\"asynchronous\":true}"; done >"$W/all"
  ours_ask left <"$W/all"
}
ours_established() { grep -c 'initiator established Child SA' "$W/left.log"; }
ours_rekey() {
  local i
  for ((i = 1; i <= $1; i++)); do echo "{\"version\":1,\"command\":\"rekey-child\",\"name\":\"c$i\",\"asynchronous\":true}"; done >"$W/all"
  ours_ask left <"$W/all"
}
ours_rekeyed() { grep -c 'initiator rekeyed Child SA' "$W/left.log"; }
ours_retransmissions() { grep -c 'retransmi' "$W/$1.log"; }
ours_status() { timed "$1" "$PLUTO_BIN_DIR/whack" --rundir /run/pluto --status; }
ours_once() {
  on left bash -c "
    for ((i = 0; i < $1; i++)); do
      rm -f /srv/one; /srv/timed /srv/one /srv/words $PLUTO_BIN_DIR/whack --name t --initiate && cat /srv/one >>/srv/ms
      sleep 0.2; $PLUTO_BIN_DIR/whack --name t --down >/dev/null; sleep 0.3
    done"
}
ours_prepare() { OURS_PLUTO_X=--use-none; : >"$W/$1/connection"; }
ours_run() { # it listens when whack says so
  onx "$1" ${OURS_ENV:+env $OURS_ENV} /srv/listening /srv/ms "$RIP" \
    -r "Pluto initialized" "$PLUTO_BIN_DIR/whack --rundir /run/pluto --listen" -- \
    "$PLUTO_BIN_DIR/pluto" --nofork --stderrlog --rundir /run/pluto --statedir /run/pluto --secretsfile /etc/ipsec.secrets ${OURS_PLUTO_X:-}
}
ours_responder() {
  OURS_PLUTO_X=--use-none
  mkdir -p "$W/$1"
  printf '%s\n' --name any --ikev2 --psk --host %any --subnet 11.0.1.0/24 \
    --to --host "$RIP" --id @r1 --subnet 12.0.1.0/24 --ike 'aes_gcm256-sha2_256;dh31' >"$W/$1/connection"
  echo ': PSK "bulk secret"' | etc "$1" ipsec.secrets
}
ours_mode() { # it is told so when it starts
  { killed "$1"; } 2>/dev/null
  OURS_PLUTO_X="--use-none --ddos-mode $2"
  ours_up "$1" >/dev/null
}
