# Ten clients, with an identity each, are given ten addresses out of the right host's pool;
# one that comes back gets the same one
# pairs: ours-ours ours-libreswan ours-strongswan libreswan-ours strongswan-ours
. "$(dirname "$0")/../lab.sh"; net_pair
POOL=10.9.0.100-10.9.0.109
SUITE=aes-gcm
LADDR_right=%any LTS=0.0.0.0/0
OURS_LEFT_X="--addresspool $POOL"

secrets() { # everybody has the same, the server for whoever it may be
  if [ "$1" = left ]; then printf "@c%d @right : PSK \"$SECRET\"\n" {0..9}; else echo "@right %any : PSK \"$SECRET\""; fi | etc "$1" ipsec.secrets
}
libreswan_conf() {
  local h=$1 n common
  common=$(printf '\tkeyexchange=ikev2\n\tauthby=secret\n\tauto=add\n\tnarrowing=yes\n\tike=%s\n\tesp=%s\n' "${IKE[$SUITE]}" "${ESP[$SUITE]}"
    printf '\tleft=%s\n\tright=%s\n\trightid=@right\n\trightsubnet=%s\n' "$(laddr "$h")" "$(raddr "$h")" "$RNET"
    printf '\tmodecfgpull=yes\n\trightmodecfgserver=yes\n\tleftmodecfgclient=yes\n')
  { echo 'config setup'
    if [ "$h" = right ]; then printf 'conn t\n%s\n\tleftaddresspool=%s\n' "$common" "$POOL"
    else for n in {0..9}; do printf 'conn t%d\n%s\n\tleftid=@c%d\n\tleftsubnet=0.0.0.0/0\n' $n "$common" $n; done; fi
  } | etc "$h" ipsec.conf
  secrets "$h"
}
eval "standard_$(declare -f strongswan_conf)"
strongswan_conf() {
  local h=$1 file=$W/$1/etc/swanctl/conf.d/t.conf n
  standard_strongswan_conf "$h"
  if [ "$h" = right ]; then
    sed -i "s|remote_ts = .*|remote_ts = dynamic|; s|version = 2|&\n  pools = p|; s|id = left|id = %any|; /id-[12] =/d" "$file"
    printf 'pools { p { addrs = %s\n} }\n' "$POOL" >>"$file"
  else
    { echo 'connections {'
      for n in {0..9}; do
        sed -n '2,/^} }$/p' "$file" | sed "s|version = 2|&\n  vips = 0.0.0.0|; s|id = left|id = c$n|; s|local_ts = .*|local_ts = dynamic|; s|children { t|children { t$n|; s|^} }$|}|" | sed "1s|^|t$n {\n|"
      done
      printf '}\nsecrets { ike-1 {\n secret = "%s" } }\n' "$SECRET"
    } >"$file.new"; mv "$file.new" "$file"
  fi
}
ours_up() {
  local words n
  ours_start "$1" || return 1
  whack "$1" --listen
  mapfile -t words <"$W/$1/connection"
  [ "$1" = left ] || { whack "$1" "${words[@]/#@left/%any}"; return; }
  for n in {0..9}; do words[1]=t$n; whack left "${words[@]/#@left/@c$n}" || return 1; done
}
eval "standard_$(declare -f ours_conf)"
ours_conf() { standard_ours_conf "$1"; secrets "$1"; }

addresses() { ip -n left -o addr | sed -n 's|.* inet \(10\.9\.0\.1[0-9][0-9]\)/.*|\1|p' | sort; }
has_addresses() { # has_addresses NUMBER: so many, all of them different
  local end=$((SECONDS + 10))
  until [ "$(addresses | sort -u | wc -l)" = $1 ] && [ "$(addresses | wc -l)" = $1 ]; do
    [ $SECONDS -lt $end ] || { addresses; return 1; }; sleep 0.3
  done
}
reached() { local a; for a in $(addresses); do pings left "$a" $RIN 1 || { echo "$a"; return 1; }; done; }
initiate_all() { # and which address t4 was given
  local n before
  for n in {0..9}; do
    [ $n != 4 ] || before=$(addresses)
    init left t$n || { echo "client $n"; return 1; }
    has_addresses $((n + 1)) || return 1
    [ $n != 4 ] || OF_T4=$(comm -13 <(echo "$before") <(addresses))
  done
}
each() { local n; for n in {0..9}; do "$1" left t$n || { echo "client $n"; return 1; }; done; }

both_up
check "ten clients initiate, and have ten addresses" initiate_all
check "all of them carry packets" reached
for h in left right; do check "all of them on $h" counted $h 20; done
all=$(addresses)
TRAFFIC_LEFT=$(echo $all | tr ' ' ',')
check "traffic of all of them starts" traffic_start
sleep 1
check "traffic flows" traffic_flows
traffic_whole "of ten"
TRAFFIC_LEFT=$(echo $(grep -vx "$OF_T4" <<<"$all") | tr ' ' ',')
check "traffic of all but one starts" traffic_start
check "that one goes" term left t4
sleep 1
[ "${KIND[left]}" = libreswan ] || check "the others have theirs" sh -c "test $(addresses | wc -l) = 9"
check "it comes back" init left t4
check "they have ten addresses" has_addresses 10
check "the same ten" test "$(addresses)" = "$all"
check "all of them carry packets" reached
traffic_whole "of the other nine"
check "all go" each term
# libreswan as a client leaves addresses behind
if [ "${KIND[left]}" = libreswan ]; then sleep 1; for a in $(addresses); do ip -n left addr del "$a/32" dev lo; done; fi
nothing_installed "after terminate"
both_stop
