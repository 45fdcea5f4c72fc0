# peers/openiked.sh: OpenIKED, which lives in strongSwan's chroot. It has no command to
# initiate one connection: it couples "active" policies by itself, so it is kept passive.

openiked_root() { echo "$STRONGSWAN"; }
openiked_conf() {
  local h=$1 me pe mt pt peer=right
  me=$(laddr "$h") pe=$(raddr "$h") mt=$(lts "$h") pt=$(rts "$h")
  [ "$h" = left ] || { me=$(raddr "$h") pe=$(laddr "$h") mt=$(rts "$h") pt=$(lts "$h") peer=left; }
  etc "$h" iked.conf <<E
ikev2 "t" passive esp from $mt to $pt local $me peer $pe srcid $h dstid $peer psk "$(of "$h" SECRET)"
E
}
openiked_up() {
  modprobe -q af_key                             # it speaks PF_KEY to the kernel
  on "$1" chmod 600 /etc/iked.conf; on "$1" mkdir -p /run/iked /var/empty
  (onx "$1" iked -d -v) >>"$W/$1.log" 2>&1 </dev/null &
  DAEMON[$1]=$!
  until on "$1" ikectl show sa >/dev/null 2>&1; do alive "$1" || return 1; sleep 0.1; done
}
openiked_stop() { kill -TERM "${DAEMON[$1]}"; wait "${DAEMON[$1]}" 2>/dev/null; }
openiked_init() { echo "OpenIKED is passive here"; return 1; }
openiked_term() { on "$1" ikectl reset sa; }
openiked_says() { echo 'authentication|no proposal'; }
