# A Child SA may carry so many packets (ipsec-max-packets=): the kernel says when a part of them
# has passed, and it is replaced, time and again, by nobody's order, with traffic all the while,
# of which nothing is lost
# pairs: ours-ours ours-libreswan ours-strongswan
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm
ESP[aes-gcm]='aes_gcm256;dh31' STRONGSWAN_ESP[aes-gcm]='aes256gcm16-x25519'
STRONGSWAN_CONF='delete_rekeyed_delay = 1'
# The initiator of a Child SA begins when 500 to 750 have passed in one direction (a quarter to
# three eighths): of 200 a second, every 2.5 to 3.8 s. The responder would at 1,000.
MOST=2000 TIMES=4
OURS_X="--ipsec-max-packets $MOST"

limited() { # limited HOST: both of its SAs are, in its kernel
  [ "$(ns "$1" ip -s xfrm state | grep -c "hard $MOST(packets)")" = 2 ] || { ns "$1" ip -s xfrm state; return 1; }
}
# note_spis: those of SAs that have carried packets
note_spis() {
  local h
  for h in left right; do
    ns $h ip -s xfrm state | awk '/proto esp spi/ { spi = $4 } /lifetime current/ { getline; if ($2 + 0 > 0) print spi }' >>"$W/$h.spis"
  done
}
by_limit() { # both hosts say TIMES that the Child SA was replaced
  local end=$((SECONDS + 60))
  until [ "$(told left rekeyed-child)" -ge $TIMES ] && [ "$(told right rekeyed-child)" -ge $TIMES ]; do
    [ $SECONDS -lt $end ] || { echo "left $(told left rekeyed-child) times, right $(told right rekeyed-child)"; return 1; }
    note_spis; sleep 0.2
  done
}
from_kernel() { # left has begun them, and its kernel has told it before
  local expired began
  expired=$(grep -c -E 'received soft EXPIRE for Child SA #[0-9]+ rekey=yes' "$W/left.log")
  began=$(grep -c 'initiator rekeyed Child SA' "$W/left.log")
  echo "$expired times soft EXPIRE, $began rekeyings"
  [ "$began" -ge $TIMES ] && [ "$expired" -ge "$began" ]
}
no_faster() { # no_faster SECONDS: not more than one in 2 s, in so many
  echo "$(told left rekeyed-child) in $1 s"
  [ "$(told left rekeyed-child)" -le $(($1 / 2 + 1)) ]
}
other_spis() { # each time another two
  local h n
  for h in left right; do
    n=$(sort -u "$W/$h.spis" | wc -l); echo "$h has used $n"
    [ "$n" -ge $((2 * TIMES + 2)) ] || return 1
  done
}
hard_limit() { grep -H 'received hard EXPIRE' "$W/left.log" "$W/right.log"; }

both_up
check "left initiates" init left t
carried left
for h in left right; do
  [ "${KIND[$h]}" != ours ] || check "the kernel of $h has the limit" limited $h
done
check "traffic starts" traffic_start
begin=$SECONDS
check "the Child SA is replaced $TIMES times by itself" by_limit
check "no faster than packets pass" no_faster $((SECONDS - begin))
check "traffic flows" traffic_flows
sleep 0.5; note_spis
traffic_whole
check "left's kernel has asked for it" from_kernel
check "both kernels have had other SPIs each time" other_spis
check_not "none has come to its hard limit" hard_limit
# no counters here: these packets may be those that end an SA
check "ping from right" ping_from right
check "one tunnel remains" settled
check "left terminates" term left t
nothing_installed "after terminate"
both_stop
