# The Child SA and the IKE SA are replaced 20 times each by each side, with PFS and traffic
# all the while, of which nothing is lost
# pairs: ours-ours ours-libreswan ours-strongswan
. "$(dirname "$0")/../lab.sh"; net_pair
SUITE=aes-gcm
# Child SAs that IKE_AUTH creates take no notice of the group (RFC 7296, 1.2)
ESP[aes-gcm]='aes_gcm256;dh31' STRONGSWAN_ESP[aes-gcm]='aes256gcm16-x25519'
ROUNDS=("child 10" "ike 20" "child 10")
[ -z "${NO_PFS:-}" ] || { ROUNDS=("child 20"); STRONGSWAN_ESP[aes-gcm]=aes256gcm16 ESP[aes-gcm]=aes_gcm256 OURS_X='--pfs=no' LIBRESWAN_X='pfs=no'; }

STRONGSWAN_CONF='delete_rekeyed_delay = 1'
both_up
check "left initiates" init left t
carried left
check "traffic starts" traffic_start
for round in "${ROUNDS[@]}"; do
  for h in left right; do
    check "$h replaces the ${round% *} SA ${round#* } times" replaced_times ${round#* } $h ${round% *}
  done
  # strongSwan never closes a Child SA when its delay is not over before the next IKE SA
  sleep 1.5
done
check "one tunnel remains" settled
check "traffic flows" traffic_flows
traffic_whole
carried right
check "left terminates" term left t
nothing_installed "after terminate"
both_stop
