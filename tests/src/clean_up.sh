# Removes all that a process of the tests made. ROOT, PREFIX and IMDSD are set above this line.
for file in $(grep -l -s -F -e "$ROOT/" -e "ifname=$PREFIX" /proc/[0-9]*/cmdline); do
    process=${file#/proc/}
    process=${process%/cmdline}
    case $(readlink "/proc/$process/exe") in
    */imdsd | */imdsd\ * | */qemu-system-*) kill -KILL "$process" ;;
    # It ends its workers, whose command lines don't name the directory.
    */nginx) kill -TERM "$process" ;;
    esac
done
for namespace in /run/netns/"$PREFIX"*; do
    [ -e "$namespace" ] || continue
    for process in $(ip netns pids "${namespace##*/}"); do
        kill -KILL "$process"
    done
done
for run_dir in "$ROOT"/*/run; do
    [ -d "$run_dir" ] || continue
    # The daemon's lock is free when it is gone.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        "$IMDSD" detach --run-dir "$run_dir" && break
        sleep 0.2
    done
done
for namespace in /run/netns/"$PREFIX"*; do
    [ ! -e "$namespace" ] || ip netns delete "${namespace##*/}"
done
for link in /sys/class/net/"$PREFIX"*; do
    [ ! -e "$link" ] || ip link delete "${link##*/}"
done
while read -r _ mount _; do
    case $mount in "$ROOT"/*) umount --lazy "$mount" ;; esac
done </proc/self/mounts
rm -rf "$ROOT"
