# kinds/libreswan.sh: libreswan in bulk. See ../measure for what each function does.

LIBRESWAN_ENV=LD_PRELOAD=/srv/fakexfrm.so
LSW_WHACK=/usr/libexec/ipsec/whack
libreswan_many() {
  local h=$1 n=$2 i
  {
    printf 'conn base\n\tkeyexchange=ikev2\n\tauthby=secret\n\tright=%s\n' "$RIP"
    printf '\tike=aes_gcm256-sha2_256;dh31\n\tesp=aes_gcm256\n\tleftupdown=%%disabled\n\trightupdown=%%disabled\n'
    for ((i = 1; i <= n; i++)); do
      printf 'conn c%d\n\talso=base\n\tconnalias=bulk\n\tleft=%s\n\tleftid=@l%d\n\trightid=@r%d\n\tleftsubnet=%s\n\trightsubnet=%s\n\tauto=add\n' \
        $i "$(left_address $i)" $i $i "$(net_of 11 $i)" "$(net_of 12 $i)"
    done
  } | etc "$h" bulk.conf
  printf 'config setup\n\tike-socket-bufsize=0\n' | etc "$h" ipsec.conf
  echo ': PSK "bulk secret"' | etc "$h" ipsec.secrets
}
libreswan_load() { on "$1" ipsec addconn --config /etc/bulk.conf --autoall; }
libreswan_add_one() { timed "$1" ipsec addconn --config /etc/bulk.conf "c$2"; }
libreswan_paced() { on left sh -c "seq $1 | xargs -P $2 -I{} $LSW_WHACK --name c{} --initiate"; }
libreswan_at_once() { on left $LSW_WHACK --name bulk --initiate --asynchronous; }
libreswan_established() { grep -c 'initiator established Child SA' "$W/left.log"; }
libreswan_rekey() { on left sh -c "seq $1 | xargs -I{} $LSW_WHACK --name c{} --rekey-child --asynchronous"; }
libreswan_rekeyed() { grep -c 'rekeyed Child SA' "$W/left.log"; }
libreswan_retransmissions() { grep -c 'retransmission' "$W/$1.log"; }
libreswan_status() { timed "$1" $LSW_WHACK --status; }
libreswan_once() { # one tunnel, ROUNDS times, timed inside the box; its default updown script runs
  on left bash -c "
    for ((i = 0; i < $1; i++)); do
      rm -f /srv/one; /srv/timed /srv/one /srv/words $LSW_WHACK --name t --initiate
      grep -q 'established Child SA' /srv/words && cat /srv/one >>/srv/ms
      sleep 0.2; $LSW_WHACK --name t --terminate >/dev/null; sleep 0.3
    done"
}
libreswan_prepare() { on "$1" ipsec initnss >/dev/null 2>&1; }
libreswan_run() { # as its systemd unit does; it runs addconn itself, which says when to listen
  onx "$1" env $LIBRESWAN_ENV /srv/listening /srv/ms "$RIP" -- /usr/libexec/ipsec/pluto --config /etc/ipsec.conf --nofork --stderrlog
}
libreswan_responder() { # a connection that answers anybody
  printf 'conn any\n\tkeyexchange=ikev2\n\tauthby=secret\n\tleft=%%any\n\tleftsubnet=11.0.1.0/24\n\tright=%s\n\trightid=@r1\n\trightsubnet=12.0.1.0/24\n\tike=aes_gcm256-sha2_256;dh31\n\tauto=add\n' "$RIP" | etc "$1" ipsec.conf
  echo ': PSK "bulk secret"' | etc "$1" ipsec.secrets
}
libreswan_mode() { on "$1" $LSW_WHACK "--ddos-$2" >/dev/null; }    # unlimited, busy (cookies always) or auto
