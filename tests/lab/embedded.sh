# embedded.sh: what scenarios with the embedded data plane need besides lab.sh: the
# kernel knows nothing of its SAs, so the daemons are asked what was counted.

# embedded HOST: its ESP is not the kernel's
embedded() {
  case ${KIND[$1]} in
    ours) [[ $(of "$1" OURS_PLUTO_X) == *embedded* ]];;
    strongswan) [[ $STRONGSWAN_PLUGINS == *libipsec* ]];;
    *) false;;
  esac
}
eval "kernel_$(declare -f counted)"
counted() { # counted HOST: packets have gone both ways
  embedded "$1" || { kernel_counted "$@"; return; }
  case ${KIND[$1]} in
    ours) whack "$1" --trafficstatus | tee /dev/stderr | grep -E 'inBytes=[1-9][0-9]*, outBytes=[1-9]';;
    strongswan) [ "$(on "$1" swanctl --list-sas | tee /dev/stderr | grep -c -E '(in|out) .* [1-9][0-9]* bytes')" = 2 ];;
  esac
}
large_packets() {
  local size
  for size in 1372 4000; do
    check "ping of $size octets" ns left ping -c 2 -i 0.2 -W 2 -s $size -q -I $LIN $RIN
  done
}
# unbox HOST: ends its box, so that the next daemon finds a fresh one
unbox() { kill -KILL "${KEEPER[$1]}" 2>/dev/null; wait "${KEEPER[$1]}" 2>/dev/null; rm -rf "${W:?}/$1" "$W/$1".*; true; }

# Somebody on the wire between left and right: inject.py.
# hold, let_go HOST: ESP that comes to it is lost, or no longer
hold() {
  ns "$1" nft "add table inet hold; add chain inet hold in { type filter hook prerouting priority -300; }
    add rule inet hold in udp dport 4500 @ih,0,32 != 0 drop; add rule inet hold in meta l4proto esp drop"
}
let_go() { ns "$1" nft delete table inet hold; }
# caught N: the next N packets from left to right are in $W/caught, and have not arrived
caught() {
  local pid
  hold right || return 1
  rm -f "$W/catch.out"
  (exec ip netns exec left python3 -I -S "$LABSRC/inject.py" catch eth0 "$1" "$W/caught") >"$W/catch.out" 2>&1 &
  pid=$!
  until grep -qs ready "$W/catch.out"; do kill -0 $pid || return 1; sleep 0.05; done
  ns left ping -c "$1" -i 0.05 -W 1 -q -I "$LIN" "$RIN"
  wait $pid; local status=$?
  let_go right
  return $status
}
inject() { ns left python3 -I -S "$LABSRC/inject.py" send eth0 "$1" "$W/caught"; }
octets_in() { whack "$1" --trafficstatus | sed -n 's/.*inBytes=\([0-9]*\),.*/\1/p' | awk '{ n += $1 } END { print n + 0 }'; }
drops() { whack "$1" --globalstatus | sed -n -E "s/^total\.esp\.dropped\.in\.($2)=//p" | awk '{ n += $1 } END { print n + 0 }'; }
# injected HOW TAKEN DROPPED REASONS: of what is injected so many octets are taken by right,
# so many packets are dropped for one of these reasons, and none for another
injected() {
  local octets dropped all end=$((SECONDS + 5))
  octets=$(octets_in right) dropped=$(drops right "$4") all=$(drops right '.*')
  inject "$1" || return 1
  until [ $(($(octets_in right) - octets)) = "$2" ] && [ $(($(drops right "$4") - dropped)) = "$3" ]; do
    [ $SECONDS -lt $end ] || break; sleep 0.1
  done
  echo "$1: $(($(octets_in right) - octets)) octets taken, $(($(drops right "$4") - dropped)) dropped"
  whack right --globalstatus | grep -v '=0$'
  [ $(($(octets_in right) - octets)) = "$2" ] && [ $(($(drops right "$4") - dropped)) = "$3" ] &&
    [ $(($(drops right '.*') - all)) = "$3" ]
}
# hostile_wire: packets of left for right are reordered, repeated, changed and cut
hostile_wire() {
  check "six packets are caught" caught 6
  check "changed ones are dropped" injected changed 0 6 integrity
  check "cut ones are dropped" injected cut 0 6 'integrity|wrong-length'
  check "mere headers are dropped" injected headers 0 6 'wrong-length|short'
  check "those of no SA are dropped" injected alien 0 6 no-sa
  check "reordered ones are taken all the same" injected reversed $((6 * 84)) 0 none
  check "and only once" injected same 0 6 replayed
  check "the tunnel has taken no harm" ping_from left
}
