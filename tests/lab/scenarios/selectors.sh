# Several subnets of each host in one Child SA, and after its replacement
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm
ESP[aes-gcm]='aes_gcm256;dh31' STRONGSWAN_ESP[aes-gcm]='aes256gcm16-x25519'
STRONGSWAN_CONF='delete_rekeyed_delay = 1'
LTS=10.1.0.0/24,10.3.0.0/24 RTS=10.2.0.0/24,10.4.0.0/24
ip -n left addr add 10.3.0.1/32 dev lo; ip -n right addr add 10.4.0.1/32 dev lo
every_way() {
  local from to
  for from in 10.1.0.1 10.3.0.1; do for to in 10.2.0.1 10.4.0.1; do
    pings left $from $to 1 || { echo "$from to $to"; return 1; }
    pings right $to $from 1 || { echo "$to to $from"; return 1; }
  done; done
}
# from every subnet to every other one
TRAFFIC_LEFT=10.1.0.1,10.3.0.1,10.1.0.1,10.3.0.1 TRAFFIC_RIGHT=10.2.0.1,10.4.0.1,10.4.0.1,10.2.0.1
after_up() {
  local h
  check "traffic starts" traffic_start
  check "every subnet reaches every other one" every_way
  for h in left right; do
    check "$h replaces the Child SA" replaced $h child
    check "every subnet still does" every_way
  done
  check "one tunnel remains" settled
  traffic_whole
}
both_up; both_ways; both_stop
