# SPDX-License-Identifier: MIT OR Apache-2.0
# The guard's units: rehearse, arm, have the timer renew, let a lease end, stop.
guard=ibsr-guard.service
arm=ibsr-guard-arm.service
timer=ibsr-guard-renew.timer
status() { ibsr-guard status --format json; }
lease_left_ms() { status | tr -d ' \n' | grep -o '"lease_left_ms":[0-9]*' | cut -d : -f 2; }

# $@: a command of the guarded application.
app() {
	sh -c 'echo $$ > "$0/cgroup.procs" && exec "$@"' "$cgroup" "$@"
}

# What a connection to the denied port meets. Nobody listens there.
connect() {
	(app bash -c 'exec 3<> /dev/tcp/10.77.0.2/1000' || true) 2>&1 |
		grep -o 'Operation not permitted\|Connection refused' | uniq
}

# The resolver is a closed port: only the guard answers, and it is the guard that counts.
ask() {
	app getent ahostsv4 www.denied.test || true
}


# $1: what the lease had left when it was last seen renewed. It only falls, unless renewed.
wait_for_renewal() {
	before_ms=$(lease_left_ms)
	for _ in $(seq 250); do
		now_ms=$(lease_left_ms)
		if [ "$now_ms" -gt "$before_ms" ]; then return 0; fi
		before_ms=$now_ms
		sleep 0.1
	done
	return 1
}

systemctl list-unit-files --no-legend 'ibsr-guard*' > /out/unit-files
systemctl list-units --no-legend --all 'ibsr-guard*' > /out/units-at-boot
make_interface
cgroup=$(awk '$3 == "cgroup2" { print $2 }' /proc/mounts | head -n 1)/app
mkdir "$cgroup"
echo nameserver 10.77.0.2 > /etc/resolv.conf
cat > /etc/ibsr/policy.yaml << POLICY
rules:
  - {action: deny, domain: denied.test}
  - {action: deny, ports: 1000}
POLICY
cp /usr/share/ibsr/guard.env /etc/ibsr/guard.env
cat >> /etc/ibsr/guard.env << ENV
IBSR_GUARD_CGROUP=$cgroup
IBSR_GUARD_OPTIONS=--dns-interface sensor0 --dns-interface lo
IBSR_GUARD_ARM_OPTIONS=--canary 100
ENV

# Without evidence nothing is armed, and the rehearsal goes on.
systemctl start "$guard"
systemctl start "$arm" && exit 1
systemctl is-active "$guard" "$timer" > /out/after-refusal || true
connect > /out/connect-rehearsing
ask
status > /out/status-rehearsing

ibsr-guard subject /etc/ibsr/policy.yaml --cgroup "$cgroup" > /out/subject.new
mv /out/subject.new /out/subject.json
wait_for test -e /out/evidence-is-there
systemctl reset-failed "$arm"
systemctl start "$arm"
connect > /out/connect-armed
ask
status > /out/status-armed
ls -ln /sys/fs/bpf/ibsr /sys/fs/bpf/ibsr/guard > /out/pins
# Once by the time since the timer began, once by the time since the last renewal.
wait_for_renewal
wait_for_renewal
connect > /out/connect-renewed

# Nobody renews: the lease ends by itself.
systemctl stop "$timer"
ibsr-guard renew --lease 2s
connect > /out/connect-last
sleep 3
connect > /out/connect-after-lease
status > /out/status-after-lease
ibsr-guard renew
connect > /out/connect-renewed-again

systemctl stop "$guard"
connect > /out/connect-stopped
systemctl is-active "$guard" "$arm" "$timer" > /out/after-stop || true
find /sys/fs/bpf -mindepth 1 -not -path /sys/fs/bpf/ibsr -not -name '*.debug' > /out/pins-after-stop
touch /out/done
