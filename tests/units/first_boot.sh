# SPDX-License-Identifier: MIT OR Apache-2.0
# Every process is reloaded, restarted and killed under traffic; then everything is stopped.
loader=ibsr-loader@sensor0.service
reader=ibsr-reader@sensor0.service
rx_packets() { cat /sys/class/net/sensor0/statistics/rx_packets; }
link_id() { ibsr-loader status --format json | tr -d ' \n' | grep -o '"link_id":[0-9]*'; }

ls -ld /sys/fs/bpf > /out/bpffs
mkdir -p /etc/ibsr
echo IBSR_PERIOD=200ms > /etc/ibsr/reader.env
make_interface
systemctl start "$loader"
rx_packets > /out/rx-before
systemctl start "$reader"
cat "/proc/$(systemctl show --property=MainPID --value "$reader")/status" > /out/reader-status
link_id > /out/link-before

send_syns 7000 1000000 &
traffic=$!
sleep 0.5
systemctl reload "$loader"
systemctl restart "$loader"
sleep 0.3
wait_for systemctl is-active "$reader"
systemctl restart "$reader"
sleep 0.3
for signal in KILL TERM KILL; do
	systemctl kill --signal="$signal" "$reader"
	sleep 0.3
	wait_for systemctl is-active "$reader"
done
link_id > /out/link-after
touch /out/stop
wait "$traffic"
rm /out/stop
rx_packets > /out/rx-after

# Stopping the loader alone: the reader goes first, with a last sweep.
systemctl stop "$loader"
systemctl is-active "$reader" > /out/reader-after-stop || true
find /sys/fs/bpf -mindepth 1 -not -path /sys/fs/bpf/ibsr -not -name '*.debug' > /out/pins-after-stop
ip -details link show sensor0 > /out/link-after-stop
send_syns 7001 5

# The exporter: may read the spool and not write it, and is killed in the middle.
as_exporter() { setpriv --reuid=ibsr-export --regid=ibsr-export --init-groups "$@"; }
as_exporter touch /var/lib/ibsr/spool/planted 2> /out/spool-write && exit 1
ibsr-s3-server --dir /out/s3 --listen 127.0.0.1:9000 --bucket evidence \
	--access-key AKIAEXAMPLE --secret-key example > /out/endpoint &
wait_for test -s /out/endpoint
cat > /etc/ibsr/export.env << ENV
IBSR_BUCKET=evidence
IBSR_PREFIX=fleet
IBSR_ENDPOINT_URL=http://127.0.0.1:9000
IBSR_FORCE_PATH_STYLE=true
AWS_REGION=us-east-1
AWS_ACCESS_KEY_ID=AKIAEXAMPLE
AWS_SECRET_ACCESS_KEY=example
ENV
chmod 600 /etc/ibsr/export.env
systemctl start --no-block ibsr-export.service
sleep 0.05
systemctl kill --signal=KILL ibsr-export.service || true
wait_for sh -c '! systemctl is-active --quiet ibsr-export.service'
systemctl reset-failed ibsr-export.service || true
systemctl restart ibsr-export.service
systemctl start ibsr-export.timer
systemctl is-active ibsr-export.timer > /out/timer
as_exporter ibsr-export s3 status --format json > /out/export-status

systemctl enable "$loader" "$reader"
touch /out/done
