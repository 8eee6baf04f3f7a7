#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The first process of a guest: mounts the machine's own file tree, read-only, and goes there.
# `root` and `out` are folders that QEMU shares; whatever fails ends the guest by a panic.
set -e
export PATH=/bin
busybox mount -t proc proc /proc
for module in /modules/*.ko; do busybox insmod "$module"; done
# Nothing changes below, so the guest may keep what it read.
busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=1048576 root /root
busybox mount -t proc proc /root/proc
busybox mount -t sysfs sysfs /root/sys
busybox mount -t devtmpfs devtmpfs /root/dev
busybox mount -t tmpfs -o mode=0755 tmpfs /root/run
busybox mount -t bpf bpf /root/sys/fs/bpf
busybox mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
busybox mkdir -m 1777 /root/run/tmp
busybox mkdir /root/run/out
busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 out /root/run/out
read -r runner < /runner || true
exec busybox switch_root /root "$runner" run /run/out
