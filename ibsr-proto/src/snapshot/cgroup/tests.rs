// SPDX-License-Identifier: MIT OR Apache-2.0

use serde_json::Value;

use super::words::{
    Device, Direction, ErrorName, Family, Flags, Hex, Learned, Protocol, Steps, TcpState,
};
use super::*;
use crate::container::Container;

fn owner() -> Owner<'static> {
    Owner {
        tgid: 812,
        comm: "curl".into(),
        uid: 1000,
        euid: 0,
        capabilities: Hex(0x2000),
        start_boot_ns: 1,
        met_boot_ns: 2,
        exe_inode: 3,
        exe_device: Device(253 << 20 | 1),
        exec_id: 4,
        cgroup_id: 78,
        cgroup_path: Some("/user.slice".into()),
        parent_tgid: 800,
        parent_comm: "bash".into(),
        parent_start_boot_ns: 5,
    }
}

/// Everything set.
fn flow() -> Flow<'static> {
    let container =
        Container { runtime: "docker".into(), id: "4b".into(), pod: Some("0fd1".into()) };
    Flow {
        seq: 17,
        socket: 4097,
        direction: Direction(1),
        protocol: Protocol(6),
        family: Family(2),
        local_addr: Some("10.0.0.2".parse().expect("an address")),
        local_port: 40_000,
        remote_addr: Some("2001:db8::9".parse().expect("an address")),
        remote_port: Some(443),
        name: Some("www.example.org".into()),
        holder: 7,
        steps: Steps(0x39),
        tcp_state: TcpState(7),
        error: ErrorName(111),
        packets_in: 1,
        bytes_in: 2,
        packets_out: 3,
        bytes_out: 4,
        retransmits: 5,
        born_boot_ns: 6,
        last_boot_ns: 7,
        connect_boot_ns: 8,
        established_boot_ns: 9,
        closed_boot_ns: 10,
        netns_cookie: 11,
        cgroup_id: 77,
        cgroup_path: Some("/system.slice".into()),
        container: Some(container),
        learned: Learned(6),
        owner_key: Some(Hex(0xfeed)),
        owner: Some(owner()),
    }
}

fn sweep() -> Sweep {
    Sweep {
        seq: 17,
        merged_from_seq: Some(15),
        since_boot_ns: 1,
        at_boot_ns: 2,
        at_unix_ms: 3,
        rows: 4,
        entries: 5,
        max_entries: 6,
        attributed: 7,
        attributed_bytes: 8,
        evicted: 9,
        evicted_bytes: 10,
        during_read: 11,
        conserved: true,
        owners_missing: 12,
        paths_missing: 13,
        names_missing: 16,
        behaviour_evicted: 17,
        totals: Totals { tracked_in: 14, ..Totals::default() },
        dns: DnsTotals { asked: 18, ..DnsTotals::default() },
        behaviour: BehaviourTotals { connects: 19, ..BehaviourTotals::default() },
        attached: true,
        read_us: 15,
    }
}

fn header() -> Header {
    Header {
        schema: "ibsr/1".into(),
        tool: "ibsr-reader 0.1.0".into(),
        host: "h1".into(),
        boot_id: "b".into(),
        scope: "cg-web".into(),
        cgroup_id: 1,
        cgroup_path: "/web".into(),
        epoch: "e".into(),
        attached_boot_ns: 2,
        programs_sha256: "ab".into(),
        evidence: "frozen".into(),
        missing: vec!["seed".into()],
        period_ms: 10_000,
        max_flows: 4096,
        resolvers: vec!["9.9.9.9".parse().expect("an address")],
        dns_ports: vec![53],
        limits: Limits { window_ms: 600_000, regular_percent: 10, ..Limits::default() },
        baseline_entries: 3,
    }
}

fn line(row: RowRef<'_>) -> String {
    let mut out = Vec::new();
    row.write_to(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

fn name() -> Name<'static> {
    Name {
        seq: 17,
        addr: "2001:db8::9".parse().expect("an address"),
        name: "www.example.org".into(),
        learned_boot_ns: 1,
        expiry_boot_ns: 2,
        resolver: "9.9.9.9".parse().expect("an address"),
        resolver_port: 53,
        chain: 3,
    }
}

fn behaviour() -> Behaviour<'static> {
    Behaviour {
        seq: 17,
        exe_device: Device(253 << 20 | 1),
        exe_inode: 3,
        remote_addr: "10.0.0.9".parse().expect("an address"),
        remote_port: 443,
        protocol: Protocol(6),
        name: Some("www.example.org".into()),
        flags: Flags(0x3 | 1 << 31),
        born_boot_ns: 1,
        last_boot_ns: 2,
        last_connect_boot_ns: 3,
        flagged_boot_ns: 4,
        connects: 5,
        failed: 6,
        unsent: 7,
        bytes_out: 8,
        bytes_in: 9,
        intervals: 10,
        intervals_long: 11,
        batch_intervals: 12,
        batch_mean_ns: 13,
        batch_min_ns: 14,
        batch_max_ns: 15,
        batch_cv_ppm: Some(16),
    }
}

fn app() -> App {
    App {
        seq: 17,
        exe_device: Device(253 << 20 | 1),
        exe_inode: 3,
        flags: Flags(0x1c),
        last_boot_ns: 1,
        flagged_boot_ns: 2,
        connects: 3,
        failed: 4,
        bytes_out: 5,
        window_boot_ns: 6,
        window_bytes_out: 7,
        window_failed: 8,
        window_internal_peers: 9,
    }
}

/// Golden, for the rows of the other tables.
#[test]
fn names_and_behaviour_are_written_exactly_so() {
    assert_eq!(
        line(RowRef::Name(&name())),
        concat!(
            r#"{"type":"name","seq":17,"addr":"2001:db8::9","name":"www.example.org","#,
            r#""learned_boot_ns":1,"expiry_boot_ns":2,"resolver":"9.9.9.9","resolver_port":53,"#,
            r#""chain":3}"#,
            "\n"
        )
    );
    assert_eq!(
        line(RowRef::Behaviour(&behaviour())),
        concat!(
            r#"{"type":"behaviour","seq":17,"exe_device":"253:1","exe_inode":3,"#,
            r#""remote_addr":"10.0.0.9","remote_port":443,"protocol":"tcp","#,
            r#""name":"www.example.org","flags":["regular_intervals","not_in_baseline","#,
            r#""2147483648"],"born_boot_ns":1,"last_boot_ns":2,"last_connect_boot_ns":3,"#,
            r#""flagged_boot_ns":4,"connects":5,"failed":6,"unsent":7,"bytes_out":8,"#,
            r#""bytes_in":9,"intervals":10,"intervals_long":11,"batch_intervals":12,"#,
            r#""batch_mean_ns":13,"batch_min_ns":14,"batch_max_ns":15,"batch_cv_ppm":16}"#,
            "\n"
        )
    );
    assert_eq!(
        line(RowRef::App(&app())),
        concat!(
            r#"{"type":"app","seq":17,"exe_device":"253:1","exe_inode":3,"#,
            r#""flags":["volume_out","many_internal_peers","many_failed_connects"],"#,
            r#""last_boot_ns":1,"flagged_boot_ns":2,"connects":3,"failed":4,"bytes_out":5,"#,
            r#""window_boot_ns":6,"window_bytes_out":7,"window_failed":8,"#,
            r#""window_internal_peers":9}"#,
            "\n"
        )
    );
}

/// Golden: the written form is a contract with every tool that reads JSON Lines.
#[test]
fn a_flow_row_is_written_exactly_so() {
    assert_eq!(
        line(RowRef::Flow(&flow())),
        concat!(
            r#"{"type":"flow","seq":17,"socket":4097,"direction":"outgoing","protocol":"tcp","#,
            r#""family":"inet","local_addr":"10.0.0.2","local_port":40000,"#,
            r#""remote_addr":"2001:db8::9","remote_port":443,"name":"www.example.org","holder":7,"#,
            r#""steps":["created","connected","syn_sent","established"],"tcp_state":"close","#,
            r#""error":"ECONNREFUSED","packets_in":1,"bytes_in":2,"packets_out":3,"bytes_out":4,"#,
            r#""retransmits":5,"born_boot_ns":6,"last_boot_ns":7,"connect_boot_ns":8,"#,
            r#""established_boot_ns":9,"closed_boot_ns":10,"netns_cookie":11,"cgroup_id":77,"#,
            r#""cgroup_path":"/system.slice","#,
            r#""container":{"runtime":"docker","id":"4b","pod":"0fd1"},"learned":"connect","#,
            r#""owner_key":"000000000000feed","owner":{"tgid":812,"comm":"curl","uid":1000,"#,
            r#""euid":0,"capabilities":"0000000000002000","start_boot_ns":1,"met_boot_ns":2,"#,
            r#""exe_inode":3,"exe_device":"253:1","exec_id":4,"cgroup_id":78,"#,
            r#""cgroup_path":"/user.slice","parent_tgid":800,"parent_comm":"bash","#,
            r#""parent_start_boot_ns":5}}"#,
            "\n"
        )
    );
}

/// A socket that only listens: nothing is made up for what did not happen.
fn own_row() -> Flow<'static> {
    Flow {
        direction: Direction(3),
        remote_addr: None,
        remote_port: None,
        name: None,
        holder: 0,
        steps: Steps(0),
        tcp_state: TcpState(0),
        error: ErrorName(0),
        local_addr: None,
        connect_boot_ns: 0,
        established_boot_ns: 0,
        closed_boot_ns: 0,
        netns_cookie: 0,
        cgroup_id: 0,
        cgroup_path: None,
        container: None,
        learned: Learned(0),
        owner_key: None,
        owner: None,
        ..flow()
    }
}

#[test]
fn what_did_not_happen_or_is_not_known_is_absent() {
    assert_eq!(
        line(RowRef::Flow(&own_row())),
        concat!(
            r#"{"type":"flow","seq":17,"socket":4097,"direction":"own","protocol":"tcp","#,
            r#""family":"inet","local_port":40000,"holder":0,"steps":[],"packets_in":1,"bytes_in":2,"#,
            r#""packets_out":3,"bytes_out":4,"retransmits":5,"born_boot_ns":6,"last_boot_ns":7,"#,
            r#""learned":"nowhere"}"#,
            "\n"
        )
    );
}

#[test]
fn every_row_reads_back_as_written() {
    let read = |row: RowRef<'_>| Row::from_line(line(row).as_bytes()).expect("reads");
    assert_eq!(read(RowRef::Flow(&flow())), Row::Flow(Box::new(flow())));
    assert_eq!(read(RowRef::Flow(&own_row())), Row::Flow(Box::new(own_row())));
    assert_eq!(read(RowRef::Name(&name())), Row::Name(Box::new(name())));
    assert_eq!(read(RowRef::Behaviour(&behaviour())), Row::Behaviour(Box::new(behaviour())));
    assert_eq!(read(RowRef::App(&app())), Row::App(Box::new(app())));
    assert_eq!(read(RowRef::Sweep(&sweep())), Row::Sweep(Box::new(sweep())));
    assert_eq!(read(RowRef::Header(&header())), Row::Header(Box::new(header())));
    let life: FlowLife = serde_json::from_str(&line(RowRef::Flow(&flow()))).expect("reads");
    let Flow { socket, remote_addr, remote_port, protocol, holder, born_boot_ns, .. } = flow();
    assert_eq!(life, FlowLife { socket, remote_addr, remote_port, protocol, holder, born_boot_ns });
}

/// Rows of other tables may come into the same files.
#[test]
fn rows_that_are_yet_to_come_are_unknown_and_no_error() {
    for kind in ["zone", "source"] {
        let line = format!(r#"{{"type":"{kind}","seq":1}}"#);
        assert_eq!(Row::from_line(line.as_bytes()).expect("reads"), Row::Unknown(kind.into()));
    }
    assert!(Row::from_line(br#"{"type":"flow","seq":1}"#).is_err());
}

/// Names of all fields of an object, of those in it as `outer.inner`.
fn fields(value: &Value, outer: &str, into: &mut Vec<String>) {
    for (name, inner) in value.as_object().expect("an object") {
        into.push(format!("{outer}{name}"));
        if inner.is_object() {
            fields(inner, &format!("{outer}{name}."), into);
        }
    }
}

/// The first cells of the table below `heading` in the documentation.
fn documented(page: &str, heading: &str) -> Vec<String> {
    let (_, section) = page.split_once(&format!("\n### {heading}\n")).expect("the heading");
    let section = section.split("\n### ").next().expect("it ends");
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

/// A field that nobody explains is of no use, and one that is explained must exist.
#[test]
fn the_documentation_names_every_field_and_no_other() {
    let page = include_str!("../../../../docs/snapshot-format.md");
    for (heading, row) in [
        ("header of a cgroup", line(RowRef::Header(&header()))),
        ("flow", line(RowRef::Flow(&flow()))),
        ("name", line(RowRef::Name(&name()))),
        ("behaviour", line(RowRef::Behaviour(&behaviour()))),
        ("app", line(RowRef::App(&app()))),
        ("sweep of a cgroup", line(RowRef::Sweep(&sweep()))),
    ] {
        let value: Value = serde_json::from_str(&row).expect("JSON");
        let mut written = Vec::new();
        fields(&value, "", &mut written);
        written.retain(|name| name != "type");
        let mut named = documented(page, heading);
        if heading.starts_with("sweep") {
            for part in ["totals", "dns", "behaviour"] {
                let names = documented(page, &format!("{part} of a cgroup"));
                named.extend(names.into_iter().map(|name| format!("{part}.{name}")));
            }
        }
        written.sort();
        named.sort();
        assert_eq!(named, written, "{heading}");
    }
}
