# peers/strongswan.sh: charon-systemd in its chroot (it runs without systemd), swanctl.

STRONGSWAN=${STRONGSWAN:-$LAB/strongswan}
# Cut down: af-alg alone costs 10 s in UML, as it tries every algorithm's module.
STRONGSWAN_PLUGINS="random nonce openssl pem pkcs1 pkcs8 x509 revocation constraints pubkey kdf hmac sha1 sha2 aes gcm
  curve25519 attr resolve socket-default vici updown counters kernel-netlink"
strongswan_root() { echo "$STRONGSWAN"; }
strongswan_conf() {
  local h=$1 me pe mt pt peer=right s
  me=$(laddr "$h") pe=$(raddr "$h") mt=$(lts "$h") pt=$(rts "$h")
  [ "$h" = left ] || { me=$(raddr "$h") pe=$(laddr "$h") mt=$(rts "$h") pt=$(lts "$h") peer=left; }
  etc "$h" strongswan.d/zz-lab.conf <<E
charon { load_modular = no }
charon-systemd {
  load = ${STRONGSWAN_PLUGINS//$'\n'/ }
  journal { default = -1 }
  filelog { stderr { default = ${STRONGSWAN_LOG:-1}
    flush_line = yes
    time_format = %T } }
  ${STRONGSWAN_CONF:-}
}
swanctl { load = random openssl pem pkcs1 pkcs8 x509 pubkey }
E
  etc "$h" swanctl/conf.d/t.conf <<E
connections { t {
  version = 2
  local_addrs = $me
  remote_addrs = $pe
  $(s=$(ike_suite "$h"); [ "$s" = default ] || echo "proposals = ${STRONGSWAN_IKE[$s]}")
  $STRONGSWAN_X
  local { auth = psk
    id = $h }
  remote { auth = psk
    id = $peer }
  children { t {
    $(if [ "$MODE" = transport ]; then echo "mode = transport"; else printf 'local_ts = %s\n    remote_ts = %s' "$mt" "$pt"; fi)
    $(s=$(esp_suite "$h"); [ "$s" = default ] || echo "esp_proposals = ${STRONGSWAN_ESP[$s]}")
    $STRONGSWAN_CHILD_X } }
} }
secrets { ike-1 {
    id-1 = left
    id-2 = right
    secret = "$(of "$h" SECRET)" } }
E
}
strongswan_up() {
  on "$1" rm -f /run/charon.vici                 # a stale socket makes swanctl fail
  (onx "$1" env ${STRONGSWAN_ENV:-A=b} charon-systemd) >>"$W/$1.log" 2>&1 </dev/null &
  DAEMON[$1]=$!
  until on "$1" test -S /run/charon.vici; do alive "$1" || return 1; sleep 0.1; done
  on "$1" swanctl --load-all --noprompt
}
strongswan_stop() { kill -TERM "${DAEMON[$1]}"; wait "${DAEMON[$1]}"; }
strongswan_init() { on "$1" swanctl --initiate --child "$2" --timeout "${INIT_T:-20}"; }
strongswan_term() { on "$1" swanctl --terminate --ike "$2" --timeout 10; }
strongswan_route() { on "$1" swanctl --install --child "$2"; }
strongswan_unroute() { on "$1" swanctl --uninstall --child "$2"; }
strongswan_rekey() { on "$1" swanctl --rekey --$3 "$2"; }    # does not wait for the outcome
strongswan_sas() {
  on "$1" swanctl --list-sas | sed -n -E 's/^[^ ]+: #([0-9]+), ESTABLISHED,.*/ike \1 up/p; t
    s/^[^ ]+: #([0-9]+), .*/ike \1 transient/p; t
    s/^ +[^ ]+: #([0-9]+), .* INSTALLED,.*/child \1 up/p; t
    s/^ +[^ ]+: #([0-9]+), .*/child \1 transient/p'
}
# It leaves what a killed predecessor installed.
strongswan_stale() { rm -f "$W/$1.log"; ip -n "$1" xfrm state flush; ip -n "$1" xfrm policy flush; ip -n "$1" route flush table 220; }
strongswan_says() {
  case $1 in
    rekeyed-ike) echo 'IKE_SA .* rekeyed between';;
    rekeyed-child) echo 'outbound CHILD_SA .* established';;
    wrong-psk) echo 'AUTHENTICATION_FAILED|MAC mismatched';;
    no-proposal) echo 'NO_PROPOSAL_CHOSEN|NO_PROP|no acceptable proposal|proposals? unacceptable';;
  esac
}
