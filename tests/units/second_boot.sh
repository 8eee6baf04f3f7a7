# SPDX-License-Identifier: MIT OR Apache-2.0
# The enabled units start by themselves, before their interface is there; a shutdown is all
# that stops them.
reader=ibsr-reader@sensor0.service

wait_for sh -c 'systemctl list-jobs --no-legend ibsr-loader@sensor0.service | grep -q running'
make_interface
wait_for systemctl is-active "$reader"
send_syns 7002 10
touch /out/done
