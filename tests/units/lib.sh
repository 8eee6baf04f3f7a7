# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs inside the machine, before each script: an interface with a peer, and what the
# scripts share. What they find out lands in /out, where the test reads it.
set -euxo pipefail

# What the units see, see Machine::write_boot_id.
umount /proc/sys/kernel/random/boot_id
mount --bind /etc/boot-id /proc/sys/kernel/random/boot_id

make_interface() {
	ip netns add peer
	ip link add sensor0 type veth peer name peer0 netns peer
	ip address add 10.77.0.1/24 dev sensor0
	ip link set sensor0 up
	in_peer ip address add 10.77.0.2/24 dev peer0
	in_peer ip link set peer0 up
	in_peer ping -c 1 -W 5 10.77.0.1
}

in_peer() {
	nsenter --net=/run/netns/peer "$@"
}

# $1: port. Sends SYNs to a closed port, one after the other, until /out/stop is there or $2
# are sent. Each is answered with RST, so it is one packet; leaves their number in /out/sent-$1.
send_syns() {
	in_peer bash -c 'n=0
		while [ ! -e /out/stop ] && [ "$n" -lt "$1" ]; do
			(exec 3<> "/dev/tcp/10.77.0.1/$0") 2> /dev/null || true
			n=$((n + 1))
		done
		echo "$n" > "/out/sent-$0"' "$1" "$2"
}

wait_for() {
	for _ in $(seq 300); do
		if "$@"; then return 0; fi
		sleep 0.1
	done
	return 1
}
