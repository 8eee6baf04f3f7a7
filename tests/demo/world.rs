// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage set: a server namespace with nginx and a namespace of clients, one address for
//! each client, so that the report can be compared client by client.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ibsr_tests::actor::ENTER;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::{HOST_V4, HOST_V6, PEER_IF, Pair, run};
use ibsr_tests::process::{Running, wait_until};

/// Bytes of the file that clients download.
const FILE_BYTES: usize = 200_000;

/// Bytes of the page that the clients behind the gateway fetch.
const PAGE_BYTES: usize = 1_000;

/// One client and its address.
pub struct Client {
    /// What it does, for people.
    pub name: &'static str,
    /// Its source address.
    pub address: &'static str,
    /// The rule that must act on it; none for who does nothing wrong, and then no rule may.
    pub caught_by: Option<&'static str>,
}

impl Client {
    const fn user(name: &'static str, address: &'static str) -> Self {
        Self { name, address, caught_by: None }
    }

    const fn attacker(name: &'static str, address: &'static str, rule: &'static str) -> Self {
        Self { name, address, caught_by: Some(rule) }
    }
}

/// Downloads with a connection each.
pub const ORDINARY: Client = Client::user("ordinary downloads", "10.77.0.11");
/// Many requests over one connection.
pub const KEEP_ALIVE: Client = Client::user("keep-alive", "10.77.0.12");
/// Reads slowly.
pub const SLOW: Client = Client::user("slow client", "10.77.0.13");
/// The same over IPv6.
pub const IPV6: Client = Client::user("IPv6 client", "fd77::14");
/// Raw frames behind an 802.1Q tag: ten connections as a tagged client would send them.
pub const VLAN: Client = Client::user("VLAN-tagged sender", "10.77.0.15");
/// Several hosts with many short connections behind one address.
pub const NAT: Client = Client::user("NAT gateway", "10.77.0.16");
/// SYN, and RST as soon as the server answers: it completes nothing and harms nobody.
pub const CHECKER: Client = Client::user("health checker", "10.77.0.17");
/// Sends SYNs and nothing else.
pub const FLOOD: Client = Client::attacker("SYN flood", "10.77.0.66", "dead_syn");
/// One SYN to each of many ports.
pub const SCAN: Client = Client::attacker("port scan", "10.77.0.77", "scan");
/// All of them.
pub const CLIENTS: [Client; 9] =
    [ORDINARY, KEEP_ALIVE, SLOW, IPV6, VLAN, NAT, CHECKER, FLOOD, SCAN];

/// Both namespaces with their addresses, the web server, and the cgroup that is observed. What
/// is below comes first: it is dropped in this order.
pub struct World {
    _nginx: Running,
    _web: Cgroup,
    /// The second sensor is attached here.
    pub scope: Cgroup,
    /// The wire.
    pub pair: Pair,
}

impl World {
    /// Builds everything and waits until the server answers.
    pub fn build(files: &Path) -> Result<Self> {
        let pair = Pair::new();
        add_addresses(&pair);
        let scope = Cgroup::new();
        let web = scope.child("nginx.service");
        let nginx = start_nginx(&pair, &web, files)?;
        Ok(Self { _nginx: nginx, _web: web, scope, pair })
    }
}

fn add_addresses(pair: &Pair) {
    let peer = &pair.peer;
    for client in [ORDINARY, KEEP_ALIVE, SLOW, NAT, CHECKER] {
        peer.ip(&format!("addr add {}/24 dev {PEER_IF}", client.address));
    }
    peer.ip(&format!("addr add {}/64 dev {PEER_IF} nodad", IPV6.address));
    // One frame a segment: what the senders' tcpdump sees is then frame by frame what the
    // sensor sees.
    run(peer.command("ethtool").args(["-K", PEER_IF, "tso", "off", "gso", "off"]));
}

fn start_nginx(pair: &Pair, cgroup: &Cgroup, files: &Path) -> Result<Running> {
    let root = files.join("www");
    fs::create_dir_all(&root).with_context(|| format!("failed to create `{}`", root.display()))?;
    for (name, bytes) in [("file", FILE_BYTES), ("page", PAGE_BYTES)] {
        fs::write(root.join(name), vec![b'x'; bytes]).context("failed to write the web pages")?;
    }
    let config = files.join("nginx.conf");
    fs::write(&config, nginx_config(files)).context("failed to write `nginx.conf`")?;
    let mut command = pair.host.command("sh");
    command.args(["-c", ENTER]).arg(cgroup.path().join("cgroup.procs"));
    command.arg("nginx").arg("-c").arg(&config).arg("-e").arg(files.join("nginx.log"));
    let nginx = Running::start(&mut command);
    let pid_file = files.join("nginx.pid");
    wait_until("nginx listens", Duration::from_secs(10), || pid_file.is_file());
    Ok(nginx)
}

fn nginx_config(files: &Path) -> String {
    let files = files.display();
    format!(
        "daemon off;\nmaster_process off;\npid {files}/nginx.pid;\nerror_log {files}/nginx.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {files}/nginx-tmp;\n  \
         proxy_temp_path {files}/nginx-tmp;\n  fastcgi_temp_path {files}/nginx-tmp;\n  \
         uwsgi_temp_path {files}/nginx-tmp;\n  scgi_temp_path {files}/nginx-tmp;\n  \
         server {{\n    listen {HOST_V4}:80;\n    listen [{HOST_V6}]:80;\n    \
         root {files}/www;\n  }}\n}}\n"
    )
}
