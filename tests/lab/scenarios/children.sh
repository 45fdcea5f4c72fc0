# Ten Child SAs on one IKE SA: ten subnets of the left host (leftsubnets=, ten children),
# which all outlive the replacement of the IKE SA
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm
ESP[aes-gcm]='aes_gcm256;dh31' STRONGSWAN_ESP[aes-gcm]='aes256gcm16-x25519'
for n in {1..9}; do ip -n left addr add 10.1.$n.1/32 dev lo; done

eval "one_$(declare -f libreswan_conf)"
libreswan_conf() {
  one_libreswan_conf "$1"
  sed -i "s|leftsubnet=.*|leftsubnets={$(printf '10.1.%d.0/24 ' {0..9})}|" "$W/$1/etc/ipsec.conf"
}
eval "one_$(declare -f strongswan_conf)"
strongswan_conf() { # ten children, named t0 to t9
  local file=$W/$1/etc/swanctl/conf.d/t.conf child
  one_strongswan_conf "$1"
  child=$(sed -n '/children { t {/,/^ *} }$/p' "$file" | sed '1d; $d')
  sed -i '/children { t {/,/^ *} }$/d' "$file"
  awk -v ten="children { $(for n in {0..9}; do printf 't%d {\n%s }\n' $n "${child//10.1.0.0/10.1.$n.0}"; done) }" \
    '/^secrets/ && !done { done = 1 } { print } /id = (left|right) }$/ && ++ids == 2 { print ten }' "$file" >"$file.new"
  mv "$file.new" "$file"
}
eval "one_$(declare -f ours_conf)"
ours_conf() {
  one_ours_conf "$1"
  sed -i "/^--subnet\$/{N; s|^--subnet\n10.1.0.0/24\$|--subnets\n$(printf '10.1.%d.0/24 ' {0..9})|}" "$W/$1/connection"
}
each() { local n; for n in {0..9}; do "$1" "$2" t$n || return 1; done; }   # each COMMAND HOST
init_all() {
  case ${KIND[$1]} in
    strongswan) each init "$1";; libreswan) on "$1" ipsec whack --name t --initiate;; *) init "$1" t;;
  esac
}
term_all() { term "$1" t; }
ten() { # one IKE SA and ten Child SAs on both hosts, and nothing else
  local end=$((SECONDS + 15)) h all n
  for h in left right; do
    until all=$(sas $h | awk '{ print $1, $3 }' | sort | uniq -c | xargs); n=$(ip -n $h xfrm state | grep -c 'proto esp spi'); \
        [ "$all" = "10 child up 1 ike up" ] && [ "$n" = 20 ]; do
      [ $SECONDS -lt $end ] || { echo "$h: $n SAs in the kernel, and $all"; return 1; }
      sleep 0.3
    done
  done
}
ping_all() { local n; for n in {0..9}; do pings left 10.1.$n.1 $RIN 1 || { echo "10.1.$n.0/24"; return 1; }; done; }
rekey_ike() {
  case ${KIND[$1]} in strongswan) rekey $1 t ike;; libreswan) on $1 /usr/libexec/ipsec/whack --name t/1x0 --rekey-ike;; *) rekey $1 t/1x0 ike;; esac
}
TRAFFIC_LEFT=$(printf '10.1.%d.1,' {0..9}) TRAFFIC_LEFT=${TRAFFIC_LEFT%,}     # in all of them
both_up
for h in left right; do
  check "$h initiates ten" init_all $h
  check "they share an IKE SA" ten
  check "all carry packets" ping_all
  for g in left right; do check "all of them on $g" counted $g 20; done
  check "traffic starts" traffic_start
  for g in left right; do
    check "$g replaces the IKE SA" rekey_ike $g
    sleep 1
    check "the new one has all of them" ten
  done
  traffic_whole
  check "all carry packets" ping_all
  check "$h terminates" term_all $h
  for g in left right; do term_all $g >/dev/null 2>&1; done
  nothing_installed "after terminate"
done
both_stop
