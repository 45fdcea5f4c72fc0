# The IKE SA is replaced by another one from the beginning, time and again, make before
# break, by who has begun it; numbered packets flow both ways, and none is lost
# pairs: ours-ours ours-strongswan ours-libreswan strongswan-ours
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm
# Every 4 s; the Child SA is not rekeyed by itself meanwhile.
OURS_X="--reauth --ikelifetime 24 --rekeymargin 20 --rekeyfuzz 0%"
[ "${KIND[left]}" = ours ] || OURS_X=
STRONGSWAN_X='reauth_time = 4s
  rand_time = 0s
  over_time = 60s'
[ "${KIND[left]}" = strongswan ] || STRONGSWAN_X=

serial() { # the newest IKE SA of left, as it names it
  case ${KIND[left]} in
    ours) whack left --showstates | sed -n 's/^#\([0-9]*\):.*established IKE SA.*/\1/p';;
    strongswan) on left swanctl --list-sas | sed -n 's/^t: #\([0-9]*\), ESTABLISHED.*/\1/p';;
  esac | sort -n | tail -1
}
replaced() { # replaced TIMES: left has another IKE SA, so many times
  local n now was
  was=$(serial); [ -n "$was" ] || return 1
  for n in $(seq "$1"); do
    for _ in {1..150}; do now=$(serial); [ -n "$now" ] && [ "$now" != "$was" ] && break; sleep 0.1; done
    echo "#$was, then #$now"
    [ "$now" != "$was" ] || return 1
    was=$now
  done
}
one_pair() { # one_pair HOST: two ESP SAs, once old ones are gone
  local i
  for i in {1..50}; do [ "$(ip -n $1 xfrm state | grep -c 'proto esp spi 0x[0-9a-f]*[1-9a-f]')" = 2 ] && return; sleep 0.1; done
  ip -n $1 xfrm state; return 1
}

both_up
check "left initiates" init left t
carried left
check "traffic starts" traffic_start 100
check "left authenticates anew five times" replaced 5
check "traffic flows" traffic_flows
traffic_whole
for h in left right; do check "one tunnel remains on $h" one_pair $h; done
if [ "${KIND[right]}" = ours ]; then check_not "right has superseded nothing" grep superseded "$W/right.log"; fi
check "left terminates" term left t
nothing_installed "after terminate"
both_stop
