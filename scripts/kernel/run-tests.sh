#!/bin/sh
# Goes to where the layout says in the tree of cgroups, and runs the tests.
cgroups=/sys/fs/cgroup
enter() {
  mkdir -p "$cgroups/$1"
  echo $$ >"$cgroups/$1/cgroup.procs"
}
case $layout in
  # A session below a slice.
  systemd) enter user.slice/session.scope ;;
  # A pod, or a container with privileges: its root is not the real one, and processes are in it, so no limits can be set below it.
  container)
    echo "+cpu +memory +pids" >$cgroups/cgroup.subtree_control
    enter pod
    layout= exec unshare --cgroup --mount sh -c "umount -n $cgroups; mount -n -t cgroup2 cgroup2 $cgroups; exec sh $0"
    ;;
esac
ip link set lo up
cd /disk/checkout || exit
mkdir -p /disk/tmp
export NO_COLOR=1 TMPDIR=/disk/tmp HOME=/root SLIPWAY_RUNTIME="$runtime"
echo "kernel-test: Linux $(uname -r), controllers: $(cat $cgroups/cgroup.controllers)"
# shellcheck disable=SC2086
node_modules/.bin/node --test --test-reporter=spec --test-concurrency=1 $(echo "$tests" | tr , " ")
echo "kernel-test: status $?"
busybox poweroff -f
