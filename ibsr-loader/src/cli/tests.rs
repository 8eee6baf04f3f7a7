// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the command line takes.

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn ports_may_be_repeated_or_listed() {
    let cli = Cli::try_parse_from([
        "ibsr-loader",
        "attach",
        "xdp",
        "eth0",
        "--dst-port",
        "443,80",
        "--dst-port",
        "8000-8100",
    ])
    .expect("valid");
    let Command::Attach { sensor: Sensor::Xdp(args) } = cli.command else { panic!("attach") };
    assert_eq!(args.dst_ports.len(), 3);
    assert_eq!(args.max_sources, DEFAULT_MAX_SOURCES);
}

#[test]
fn a_table_of_no_entries_or_of_an_absurd_size_is_refused() {
    for wrong in ["0", "4294967295"] {
        let args = ["ibsr-loader", "attach", "xdp", "eth0", "--max-sources", wrong];
        assert!(Cli::try_parse_from(args).is_err(), "{wrong}");
    }
}
