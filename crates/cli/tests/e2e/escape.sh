# What a step of a build does to get out. It says of each try whether it got through, and changes nothing where one does: files
# are opened and not written to, devices are read.

try() {
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then echo "tried $what: got through"; else echo "tried $what: refused"; fi
}

opens() { [ -e "$1" ] && : >>"$1"; }
a_socket_is_there() { find / -type s -not -path '/proc/*' | grep .; }
an_abstract_socket_is_there() { grep @ /proc/net/unix; }
somebody_else_runs() { cat /proc/[0-9]*/comm | grep -vxE 'bash|cat|grep|sh'; }
# A node may be made for any device; to open it is another thing.
reads_a_device() { rm -f /node && mknod /node "$@" && head -c 1 /node | grep -c ''; }
mounts() { mount "$@" /mnt; }
# With version 1 the folder above is the step's own, and a folder in there is no group.
a_group_is_made() {
    local kind
    for kind in /sys/fs/cgroup /sys/fs/cgroup/*/; do
        mkdir "$kind/mine" && [ -e "$kind/mine/cgroup.procs" ] && return
    done
    return 1
}

# What it may do, so that "refused" means something.
try "a file of its own" touch /own
try "a device that everybody has" reads_a_device c 1 5

try "sockets, Docker's among them" a_socket_is_there
try "abstract sockets" an_abstract_socket_is_there
try "others' processes" somebody_else_runs
try "a namespace of the machine's" nsenter --target 1 --mount --uts --ipc --net true
for file in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/overcommit_memory /proc/sysrq-trigger \
    /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /sys/power/state /sys/kernel/mm/transparent_hugepage/enabled \
    /sys/fs/cgroup{,/*}/{release_agent,notify_on_release,cgroup.procs}; do
    try "$file" opens "$file"
done
for file in /proc/kcore /proc/keys /proc/timer_list /sys/firmware; do
    try "reading $file" grep --recursive --text --max-count=1 . "$file"
done
while read -r major minor _ name; do
    # The first line is a heading, the second is empty.
    [[ $major =~ ^[0-9]+$ ]] && try "the disk $name" reads_a_device b "$major" "$minor"
done </proc/partitions
try "the machine's memory" reads_a_device c 1 1
try "the machine's ports" reads_a_device c 1 4
try "the kernel's log" reads_a_device c 1 11
try "a group of processes of its own" a_group_is_made
try "mounting a tmpfs" mounts -t tmpfs none
try "mounting /proc anew" mounts -t proc none
try "mounting /sys anew" mounts -t sysfs none
try "mounting control groups" mounts -t cgroup -o memory none
try "mounting control groups of version 2" mounts -t cgroup2 none
try "mounting its root elsewhere" mounts --bind /
try "writing to /sys" mount -o remount,rw /sys
try "writing to /proc/sys" mount -o remount,rw /proc/sys
for kind in user mount net pid cgroup; do
    try "a namespace of its own: $kind" unshare --fork "--$kind" true
done
try "groups in a namespace of its own" unshare --user --map-root-user --mount --cgroup true
grep -E '^(CapBnd|Seccomp):' /proc/self/status
