# box.sh: where a daemon lives: a network namespace of net.sh, a mount namespace with
# its own /etc (an overlay), /run and /var/lib/ipsec, and a chroot (/ for ours).
#
#   etc HOST FILE       write stdin to the box's /etc/FILE, before it is made
#   box HOST NETNS ROOT make it
#   put HOST FILE       write stdin to its /etc/FILE afterwards
#   on HOST COMMAND     run something in it
#   onx HOST COMMAND    the same by exec: in the background, $! is then the daemon
#   waitlog HOST REGEX [SECONDS]   until the daemon's log has such a line
#
# $W/HOST is the box's scratch directory, $W/HOST/srv is /srv inside, $W/HOST.log is
# the daemon's log, KEEPER[HOST] a process that holds the namespaces open and
# DAEMON[HOST] the daemon's process id.

declare -A KEEPER DAEMON

etc() { mkdir -p "$(dirname "$W/$1/etc/$2")"; cat >"$W/$1/etc/$2"; }

box() {
  local b=$W/$1
  mkdir -p "$b/etc" "$b/work" "$b/srv"
  ip netns exec "$2" unshare -m --propagation private bash -c '
    b=$1 root=${2%/}
    mount -t overlay -o "lowerdir=$root/etc,upperdir=$b/etc,workdir=$b/work" overlay "$root/etc"
    for d in run var/lib/ipsec tmp; do     # of /tmp, a chroot gets its own; ours sees the real one
      [ "$root/$d" = /tmp ] || [ ! -d "$root/$d" ] || mount -t tmpfs tmpfs "$root/$d"
    done
    mount --bind "$b/srv" "$root/srv"
    if [ -n "$root" ]; then for d in dev sys proc; do mount --rbind "/$d" "$root/$d"; done; fi
    mkdir -p "$root/run/pluto"
    [ ! -d "$root/var/lib/ipsec" ] || mkdir -p "$root/var/lib/ipsec/nss"
    touch "$b/ready"
    exec chroot "$root/" sleep infinity' box "$b" "$3" </dev/null >"$b/box.log" 2>&1 &
  KEEPER[$1]=$!
  until [ -e "$b/ready" ]; do
    kill -0 "${KEEPER[$1]}" || { cat "$b/box.log"; return 1; }; sleep 0.05
  done
}

inside() { echo nsenter -t "${KEEPER[$1]}" -m -n -r -w env PATH=/usr/sbin:/usr/bin:/sbin:/bin; }
on() { local n=$1; shift; $(inside "$n") "$@"; }
onx() { local n=$1; shift; exec $(inside "$n") "$@"; }
put() { on "$1" sh -c "mkdir -p \$(dirname /etc/$2); cat >/etc/$2"; }

waitlog() {
  local end=$((SECONDS + ${3:-30}))
  until grep -q -E "$2" "$W/$1.log"; do
    [ $SECONDS -lt $end ] || { echo "no /$2/ in the log of $1:"; tail -20 "$W/$1.log"; return 1; }
    sleep 0.1
  done
}
alive() { kill -0 "${DAEMON[$1]}" 2>/dev/null || { echo "the daemon of $1 died:"; tail -30 "$W/$1.log"; return 1; }; }
