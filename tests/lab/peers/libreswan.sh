# peers/libreswan.sh: Debian's libreswan in its chroot, without systemd or _stackmanager.

LIBRESWAN=${LIBRESWAN:-$LAB/libreswan}
libreswan_root() { echo "$LIBRESWAN"; }
libreswan_conf() { # the same file on both sides
  local h=$1 s
  {
    printf 'config setup\nconn t\n\tkeyexchange=ikev2\n\tauthby=secret\n\tauto=add\n'
    printf '\tleft=%s\n\tleftid=@left\n\tright=%s\n\trightid=@right\n' "$(laddr "$h")" "$(raddr "$h")"
    if [ "$MODE" = transport ]; then printf '\ttype=transport\n'
    else printf '\tleftsubnet=%s\n\trightsubnet=%s\n' "$(lts "$h")" "$(rts "$h")"; fi
    s=$(ike_suite "$h"); [ "$s" = default ] || printf '\tike=%s\n' "${IKE[$s]}"
    s=$(esp_suite "$h"); [ "$s" = default ] || printf '\tesp=%s\n' "${ESP[$s]}"
    [ -z "$NARROWING" ] || printf '\tnarrowing=yes\n'
    [ -z "$LIBRESWAN_X" ] || printf '\t%s\n' "${LIBRESWAN_X//$'\n'/$'\n\t'}"
  } | etc "$h" ipsec.conf
  echo "@left @right : PSK \"$(of "$h" SECRET)\"" | etc "$h" ipsec.secrets
}
libreswan_up() {
  on "$1" ipsec initnss >/dev/null 2>&1
  (onx "$1" env ${LIBRESWAN_ENV:-A=b} ipsec pluto --config /etc/ipsec.conf --nofork --stderrlog) >>"$W/$1.log" 2>&1 </dev/null &
  DAEMON[$1]=$!
  # pluto forks addconn, which adds the connections and then says listen
  waitlog "$1" 'listening for IKE messages' || return 1
  until on "$1" ipsec whack --status >"$W/$1.status"; do alive "$1" || return 1; sleep 0.1; done
}
# It has been seen to crash now and then at the very end of its own shutdown, which is not
# ours to judge; what it leaves in the kernel is.
libreswan_stop() { on "$1" ipsec whack --shutdown >/dev/null; wait "${DAEMON[$1]}" || echo "ended with status $?"; }
libreswan_init() { # whack exits 0 even when IKE_AUTH fails and a revival is scheduled
  on "$1" timeout "${INIT_T:-20}" ipsec whack --name "$2" --initiate | tee "$W/init.out"
  grep -q -E 'established Child SA|IPsec SA established' "$W/init.out"
}
libreswan_term() { on "$1" ipsec whack --name "$2" --terminate; }
libreswan_route() { on "$1" ipsec whack --name "$2" --route; }
libreswan_unroute() { on "$1" ipsec whack --name "$2" --unroute; }
libreswan_rekey() { on "$1" timeout "${INIT_T:-20}" /usr/libexec/ipsec/whack --name "$2" --rekey-$3; }
# whack_sas: its list of states (ours too) in neutral terms
whack_sas() {
  sed -n -E '/ Traffic: /d
    s/^(#[0-9]+): .* \(?established (IKE|Child) SA\)?;.*/\2 \1 up/; t known
    s/^(#[0-9]+): .*/other \1 transient/
    :known
    s/^IKE/ike/; s/^Child/child/; p'
}
libreswan_sas() { on "$1" /usr/libexec/ipsec/whack --showstates | whack_sas; }
libreswan_stale() { rm -f "$W/$1.log"; }    # it flushes SAs and policies when it starts
libreswan_says() {
  case $1 in
    rekeyed-ike) echo 'rekeyed IKE SA';;
    rekeyed-child) echo 'rekeyed Child SA';;
    wrong-psk) echo 'AUTHENTICATION_FAILED|authentication failed';;
    no-proposal) echo 'NO_PROPOSAL_CHOSEN|no acceptable proposal|no (local|remote) proposal';;
  esac
}
