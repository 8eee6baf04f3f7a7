// SPDX-License-Identifier: MIT OR Apache-2.0

use serde_json::Value;

use super::samples::{app, behaviour, flow, header, name, own_row, sweep, zone};
use super::*;

fn line(row: RowRef<'_>) -> String {
    let mut out = Vec::new();
    row.write_to(&mut out);
    String::from_utf8(out).expect("UTF-8")
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
            r#""window_internal_peers":9,"nxdomain":10,"window_nxdomain_zones":11}"#,
            "\n"
        )
    );
    assert_eq!(
        line(RowRef::Zone(&zone())),
        concat!(
            r#"{"type":"zone","seq":17,"exe_device":"253:1","exe_inode":3,"zone":"example.org","#,
            r#""zone_key":"000000000000feed","flags":["volume_out","many_names","name_volume"],"#,
            r#""born_boot_ns":1,"last_boot_ns":2,"flagged_boot_ns":3,"questions":4,"answers":5,"#,
            r#""nxdomain":6,"name_bytes":7,"labels":8,"bytes_out":9,"bytes_in":10,"#,
            r#""window_boot_ns":11,"window_names":12,"window_name_bytes":13,"#,
            r#""window_bytes_out":14}"#,
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
    assert_eq!(read(RowRef::Zone(&zone())), Row::Zone(Box::new(zone())));
    assert_eq!(read(RowRef::Sweep(&sweep())), Row::Sweep(Box::new(sweep())));
    assert_eq!(read(RowRef::Header(&header())), Row::Header(Box::new(header())));
    let life: FlowLife = serde_json::from_str(&line(RowRef::Flow(&flow()))).expect("reads");
    let Flow { socket, remote_addr, remote_port, protocol, holder, born_boot_ns, .. } = flow();
    assert_eq!(life, FlowLife { socket, remote_addr, remote_port, protocol, holder, born_boot_ns });
}

/// Rows of other tables may come into the same files.
#[test]
fn rows_that_are_yet_to_come_are_unknown_and_no_error() {
    for kind in ["later", "source"] {
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
pub(in super::super) fn documented(page: &str, heading: &str) -> Vec<String> {
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
        ("zone", line(RowRef::Zone(&zone()))),
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
