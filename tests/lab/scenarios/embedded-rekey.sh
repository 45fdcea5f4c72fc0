# The embedded data plane under load: the Child SA and the IKE SA are replaced 20 times each
# by each side, and of the numbered packets none is lost
# pairs: ours-ours
# kernels: host
. "$(dirname "$0")/../lab.sh"
[ -c /dev/net/tun ] || { echo "SKIP there is no /dev/net/tun"; exit 0; }
OURS_PLUTO_X=--use-embedded
. "$LABSRC/embedded.sh"
net_pair
TIMES=${TIMES:-20} RATE=${RATE:-1000}
SUITE=aes-gcm
ESP[aes-gcm]='aes_gcm256;dh31'

rekeyed() { # rekeyed N HOST ike|child: so often by that host
  local i
  for ((i = 1; i <= $1; i++)); do
    whack "$2" --name t --rekey-"$3" || { echo "at the ${i}th time"; return 1; }
  done
}
one_tunnel() { # one_tunnel HOST: what has been replaced is gone
  local end=$((SECONDS + 10))
  until [ "$(whack "$1" --trafficstatus | grep -c '"t"')" = 1 ]; do
    [ $SECONDS -lt $end ] || { whack "$1" --trafficstatus; return 1; }
    sleep 0.1
  done
}
both_up
check "left initiates" init left t
carried left
check "traffic starts" traffic_start "$RATE"
for what in child ike child; do
  for h in left right; do check "$h replaces the $what SA $TIMES times" rekeyed "$TIMES" $h $what; done
done
for h in left right; do check "one tunnel remains on $h" one_tunnel $h; done
check "traffic flows" traffic_flows
traffic_whole "in $((TIMES * 6)) rekeys at $RATE packets a second each way"
carried right
check "left terminates" term left t
nothing_installed "after terminate"
both_stop
