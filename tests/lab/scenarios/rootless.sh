# The commands of docs/rootless.md, and the demonstration, by a user that has nothing but what
# they say; the peer is an ordinary one
# pairs: ours-ours
# kernels: host
[ -c /dev/net/tun ] || { echo "SKIP there is no /dev/net/tun"; exit 0; }
# A device file of our own, since that of this machine may be root's alone
[ -n "${OWN_DEV:-}" ] || OWN_DEV=1 exec unshare -m --propagation private sh -c '
  mount -t tmpfs tmpfs /dev/net && mknod -m 0666 /dev/net/tun c 10 200 && exec bash "$0"' "$0"
. "$(dirname "$0")/../lab.sh"
OURS_PLUTO_X=--use-embedded
. "$LABSRC/embedded.sh"
chmod 755 "$W"; mkdir -p "$W/bin"      # a build may be in a place where only its owner can look
cp "$PLUTO_BIN_DIR/pluto" "$PLUTO_BIN_DIR/whack" "$W/bin"; export PLUTO_BIN_DIR=$W/bin PATH=$W/bin:$PATH
d=$W/user; mkdir -p "$d"
echo '@left @right : PSK "not a good secret"' >"$d/ipsec.secrets"; chown -R 65534:65534 "$d"
net_pair

with() { # with CAPABILITIES: sets as, the words in front of a command of that user on left
  as=(ip netns exec left setpriv --reuid 65534 --regid 65534 --clear-groups
    --inh-caps "$1" --ambient-caps "$1" --bounding-set "$1" env HOME="$d")
}
starts() { # starts COMMAND...: the daemon of left, until it answers
  local end=$((SECONDS + 10))
  "$@" >"$W/left.log" 2>&1 </dev/null &
  DAEMON[left]=$!
  until w --status >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { cat "$W/left.log"; return 1; }; sleep 0.1
  done
}
w() { "${as[@]}" timeout 20 whack --rundir "$d" "$@"; }
words=(--nofork --stderrlog --rundir "$d" --secretsfile "$d/ipsec.secrets")
tunnel() { # tunnel ADDRESS SUBNET: of left
  check "it listens" w --listen
  check "it takes the connection" w --name t --ikev2 --psk --host "$1" --id @left --subnet "$2" \
    --to --host $RIP --id @right --subnet $RNET
  check "it initiates" w --name t --initiate
  check "ping" "${at[@]}" ping -c 3 -i 0.2 -W 2 -q -I $LIN $RIN
  check "packets are counted on left" sh -c 'grep -E "inBytes=[1-9][0-9]*, outBytes=[1-9]" "$0"' <(w --trafficstatus)
  check "packets are counted on right" counted right
  check "it stops" w --shutdown
  wait "${DAEMON[left]}"
  [ "$FAILS" = 0 ] || logs
}
at=(ip netns exec left)

echo "-- a container with NET_ADMIN"
ours_conf right; peer right || exit 1
check "right starts" up right
with -all,+net_admin
check "it starts" starts "${as[@]}" pluto --use-embedded --ikeport 5000 "${words[@]}"
tunnel $LIP $LNET
check "the log tells of raw ESP" grep 'raw ESP is not allowed here: tunnels use ESP in UDP' "$W/left.log"

echo "-- a device that somebody else has made"
sed -n 's/^    \(import fcntl.*\|fd = .*\|fcntl\..*\|os\..*\)$/\1/p' "$LABSRC/../../docs/rootless.md" >"$d/tun-exec.py"
with -all
ns left ip tuntap add dev ipsec0 mode tun user nobody vnet_hdr
ns left ip link set ipsec0 up mtu 1400
ns left ip route add $RNET dev ipsec0 src $LIN
check "it starts" starts "${as[@]}" /usr/bin/python3 "$d/tun-exec.py" ipsec0 \
  pluto --use-embedded --tun-fd 9 --ikeport 5000 "${words[@]}"
tunnel $LIP $LNET
ns left ip link del ipsec0
check "right stops" stop right; unbox right

echo "-- unshare -rn"
if ! command -v slirp4netns >/dev/null; then
  echo "there is no slirp4netns here: not tried"
elif ! "${as[@]}" unshare -rnm true 2>/dev/null; then
  echo "user namespaces are not allowed here: not tried"
else
  LADDR_right=%any LTS=$LIN/32
  ours_conf right; peer right || exit 1
  check "right starts" up right
  ip -n left addr del $LIN/32 dev lo                   # it is inside now
  "${as[@]}" unshare -rnm sh -c 'echo $$ >$0/pid; exec sleep infinity' "$d" &
  KEEPER[user]=$!
  until [ -s "$d/pid" ]; do sleep 0.1; done
  "${as[@]}" slirp4netns --configure --mtu=1500 --disable-host-loopback "$(cat "$d/pid")" tap0 >/dev/null 2>&1 </dev/null &
  KEEPER[slirp]=$!
  as+=(nsenter -t "$(cat "$d/pid")" -U -n -m --preserve-credentials) at=("${as[@]}")
  "${as[@]}" ip link set lo up
  "${as[@]}" ip address add $LIN/32 dev lo
  until "${as[@]}" ip route get $RIP >/dev/null 2>&1; do sleep 0.1; done
  check "it starts" starts "${as[@]}" pluto "${words[@]}"
  tunnel 10.0.2.100 $LIN/32
  check "right stops" stop right
  kill "$(cat "$d/pid")"
fi

echo "-- the demonstration"
with -all
TMPDIR=$d; export TMPDIR
# The copy in $W is of this checkout's laboratory: the user may not be able to read that.
mkdir -p "$W/lab"; cp -r "$LABSRC/." "$W/lab"; chmod -R a+rX "$W/lab"
if "${as[@]}" unshare -rnm true 2>/dev/null; then
  check "demo" "${as[@]}" "$W/lab/demo"
  check "demo, embedded" "${as[@]}" env PROTOSTACK=embedded "$W/lab/demo"
fi
[ "$FAILS" = 0 ]
