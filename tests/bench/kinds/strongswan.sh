# kinds/strongswan.sh: strongSwan in bulk. See ../measure for what each function does.

STRONGSWAN_ENV=LD_PRELOAD=/srv/fakexfrm.so
STRONGSWAN_CONF="dos_protection = no"
strongswan_many() {
  local h=$1 n=$2 i m=l p=r mine=11 theirs=12
  [ "$h" = left ] || { m=r p=l mine=12 theirs=11; }
  strongswan_conf "$h"; rm -f "$W/$h/etc/swanctl/conf.d/t.conf"
  {
    echo "connections {"
    for ((i = 1; i <= n; i++)); do
      local me=$(left_address $i) pe=$RIP
      [ "$h" = left ] || { pe=$me me=$RIP; }
      printf 'c%d { version = 2\n local_addrs = %s\n remote_addrs = %s\n proposals = aes256gcm16-prfsha256-x25519\n' $i "$me" "$pe"
      printf ' local { auth = psk\n id = %s }\n remote { auth = psk\n id = %s }\n' $m$i $p$i
      printf ' children { net { local_ts = %s\n remote_ts = %s\n esp_proposals = aes256gcm16-x25519 } } }\n' "$(net_of $mine $i)" "$(net_of $theirs $i)"
    done
    echo '}'; echo 'secrets { ike { secret = "bulk secret" } }'
  } | etc "$h" swanctl/bulk.conf
}
strongswan_load() { on "$1" swanctl --load-all --file /etc/swanctl/bulk.conf; }
strongswan_add_one() { return 1; }          # there is no such command: it loads whole files
strongswan_vici() { nsenter -t "${KEEPER[left]}" -m python3 "$BENCH/vici.py" "$STRONGSWAN/run/charon.vici" "$@"; }
strongswan_paced() { strongswan_vici paced "$1" "$2"; }
strongswan_at_once() { strongswan_vici at-once "$1"; }
strongswan_established() { grep -c 'CHILD_SA .* established' "$W/left.log"; }
strongswan_rekey() { strongswan_vici rekey; }
strongswan_rekeyed() { grep -c 'outbound CHILD_SA .* established' "$W/left.log"; }
strongswan_retransmissions() { grep -c 'retransmit' "$W/$1.log"; }
strongswan_status() { timed "$1" swanctl --list-sas; }
strongswan_once() {
  on left bash -c "
    for ((i = 0; i < $1; i++)); do
      rm -f /srv/one; /srv/timed /srv/one /srv/words swanctl --initiate --child t
      grep -q 'completed successfully' /srv/words && cat /srv/one >>/srv/ms
      sleep 0.2; swanctl --terminate --ike t >/dev/null; sleep 0.3
    done"
}
strongswan_prepare() { on "$1" rm -f /run/charon.vici; }
strongswan_run() { onx "$1" env $STRONGSWAN_ENV /srv/listening /srv/ms "$RIP" -- /usr/sbin/charon-systemd; }
strongswan_responder() {
  strongswan_conf "$1"
  etc "$1" swanctl/conf.d/t.conf <<E
connections { t { version = 2
 local_addrs = $RIP
 proposals = aes256gcm16-prfsha256-x25519
 local { auth = psk
 id = r1 }
 remote { auth = psk }
 children { t { local_ts = 12.0.1.0/24
 remote_ts = 11.0.1.0/24 } } } }
secrets { ike { secret = "bulk secret" } }
E
}
strongswan_mode() { # charon reads this only when it starts
  local tune="dos_protection = no"
  [ "$2" != auto ] || tune="dos_protection = yes"
  [ "$2" != busy ] || tune=$'dos_protection = yes\n cookie_threshold = 1\n cookie_threshold_ip = 1\n block_threshold = 1000000'
  put "$1" strongswan.d/zzz.conf <<<"charon-systemd { $tune
}"
  { killed "$1"; } 2>/dev/null
  strongswan_up "$1" >/dev/null
}
