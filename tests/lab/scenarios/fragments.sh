# IKE_AUTH is large, and goes in fragments through a path of 576 octets that loses every
# fifth packet (RFC 7383), as it does of the traffic afterwards, and nobody else loses any
# pairs: libreswan-strongswan ours-ours ours-libreswan ours-strongswan libreswan-ours strongswan-ours
. "$(dirname "$0")/../lab.sh"; net_pair
ciphers='aes_gcm256 aes_gcm128 aes_gcm192 aes_ccm256 aes_ccm128 aes_ccm192'
for c in aes256 aes128 aes192; do
  for h in sha2_512 sha2_384 sha2_256 sha1; do ciphers+=" $c-$h"; done
done
ESP[many]=${ciphers// /,}
many=${ciphers//sha2_/sha}
many=$(echo "$many" | sed -E 's/aes_(g|c)cm([0-9]+)/aes\2\1cm16/g')
STRONGSWAN_ESP[many]=$(echo $many | tr ' ' ',')
KERNEL_SHOWS[many]='aead rfc4106\(gcm\(aes\)\)'
IKE_SUITE=aes-gcm ESP_SUITE=many
OURS_X='--fragmentation force'
LIBRESWAN_X='fragmentation=force'
STRONGSWAN_X='fragmentation = force'
STRONGSWAN_CONF='fragment_size = 500'
for h in left right; do ip -n $h link set eth0 mtu 576; done
INIT_T=100
PINGS=15                         # of three, one run in twenty would lose all
for h in left right; do check "a bad wire from $h" tc -n $h qdisc add dev eth0 root netem loss 20%; done
after_up() {
  local h
  MAY_LOSE=network
  check "traffic starts" traffic_start
  sleep 2
  traffic_whole "but by the wire"
  for h in left right; do
    tc -n $h qdisc del dev eth0 root 2>/dev/null
    [ "${KIND[$h]}" != ours ] || [ $h = left ] ||
      check "right put the request together" grep -E 'IKE_AUTH request .* reassembled from [0-9]+ fragments' "$W/right.log"
  done
}
both_up; both_ways; both_stop
