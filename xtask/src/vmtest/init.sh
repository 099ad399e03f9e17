#!/bin/sh
# The first process of a test machine. What it says on the console is read by xtask/src/vmtest.
export PATH=/bin TMPDIR=/tmp HOME=/tmp CORDON_BIN_DIR=/tests
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf

run() {
    name=$1
    shift
    echo "vmtest: begin $name"
    "$@"
    echo "vmtest: end $name $?"
}

for setting in $(cat /proc/cmdline); do
    case $setting in
    CORDON_*) export "$setting" ;;
    esac
done
echo "vmtest: up $(cat /proc/sys/kernel/osrelease)"
. /plan
dmesg | grep -E 'BUG: |WARNING: |Oops' | while read -r line; do
    echo "vmtest: complaint $line"
done
echo "vmtest: over"
poweroff -f
