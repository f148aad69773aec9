#!/bin/sh
# The first process of the virtual machine of scripts/test-kernel.ts. Its root is the host's, read-only, under an overlay on the disk. The
# kernel's command line gives: modules (a directory of the host), layout, tests (with commas between), runtime.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
stop() {
  echo "kernel-test: $1"
  busybox poweroff -f
}
mount -n -t proc proc /proc
for module in fs/overlayfs/overlay drivers/net/tun; do
  busybox insmod "$modules/$module.ko" || stop "cannot load $module"
done
mount -n -t ext4 /dev/ubda /mnt || stop "cannot mount the disk"
cd /mnt
mkdir upper work root
mount -n -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root || stop "cannot mount the root"
cd root
mkdir -p disk
# Stores are on the disk itself: an overlay is no place for the upper directory of another.
mount -n --bind /mnt disk
mount -n --move /proc proc
mount -n --move /dev dev
mkdir -p dev/pts dev/shm
mount -n -t devpts devpts dev/pts
mount -n -t tmpfs tmpfs dev/shm
mount -n -t tmpfs tmpfs run
mount -n -t sysfs sys sys
mount -n -t cgroup2 cgroup2 sys/fs/cgroup
exec chroot . /bin/sh /disk/checkout/scripts/kernel/run-tests.sh
