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
