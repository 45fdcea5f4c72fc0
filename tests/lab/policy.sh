# policy.sh: the standard connection "t" in neutral terms. Each peers/KIND.sh writes it
# in its dialect. A scenario sets these before both_up; NAME_left or NAME_right, where
# set, is what that one host believes (a wrong secret, other selectors, ...).

MODE=tunnel              # tunnel or transport (host to host, no selectors)
LADDR= RADDR=            # outer addresses (empty: those of net.sh); %any
LTS= RTS=                # traffic selectors (empty: the inner IPv4 nets)
SECRET="not a good secret"
SUITE=default            # default, or one of those below
NARROWING=               # yes: accept less than asked (some daemons must be told)
LIBRESWAN_X=             # further lines of libreswan's conn
STRONGSWAN_X= STRONGSWAN_CHILD_X=
OURS_X= OURS_LEFT_X= OURS_RIGHT_X=    # further words of whack's connection form and its ends

of() { # of HOST NAME: what that host believes
  local own=$2_$1; echo "${!own-${!2}}"
}
laddr() { local a; a=$(of "$1" LADDR); echo "${a:-$LIP}"; }
raddr() { local a; a=$(of "$1" RADDR); echo "${a:-$RIP}"; }
lts() { local a; a=$(of "$1" LTS); echo "${a:-$LNET}"; }
rts() { local a; a=$(of "$1" RTS); echo "${a:-$RNET}"; }

# The suites: IKE and ESP proposals in libreswan's words (ours too) and strongSwan's,
# and what the kernel then shows.
declare -A IKE=(
  [aes-gcm]='aes_gcm256-sha2_256;dh31'
  [aes-cbc]='aes256-sha2_256;modp2048'
  [chacha20]='chacha20_poly1305-sha2_512;dh19')
declare -A ESP=(
  [aes-gcm]='aes_gcm256' [aes-cbc]='aes256-sha2_256' [chacha20]='chacha20_poly1305')
declare -A STRONGSWAN_IKE=(
  [aes-gcm]='aes256gcm16-prfsha256-x25519'
  [aes-cbc]='aes256-sha256-modp2048'
  [chacha20]='chacha20poly1305-prfsha512-ecp256')
declare -A STRONGSWAN_ESP=(
  [aes-gcm]='aes256gcm16' [aes-cbc]='aes256-sha256' [chacha20]='chacha20poly1305')
declare -A KERNEL_SHOWS=(
  [aes-gcm]='aead rfc4106\(gcm\(aes\)\) 0x[0-9a-f]{72} 128'
  [aes-cbc]='auth-trunc hmac\(sha256\) 0x[0-9a-f]{64} 128.*enc cbc\(aes\) 0x[0-9a-f]{64}'
  [chacha20]='aead rfc7539esp\(chacha20,poly1305\) 0x[0-9a-f]{72} 128')
# IKE_SUITE and ESP_SUITE (or _left, _right) choose them apart; SUITE chooses both.
ike_suite() { local s; s=$(of "$1" IKE_SUITE); echo "${s:-$(of "$1" SUITE)}"; }
esp_suite() { local s; s=$(of "$1" ESP_SUITE); echo "${s:-$(of "$1" SUITE)}"; }
IKE_SUITE= ESP_SUITE=
