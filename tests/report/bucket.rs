// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report straight from a bucket, with a server that checks signatures and can fail.

use std::fs;
use std::path::Path;

use ibsr_tests::process::Said;
use ibsr_tests::s3::faults::{ACCESS_DENIED, Fault, INTERNAL_ERROR, Op, Rule};
use ibsr_tests::s3::{BUCKET, Server};
use ibsr_tests::segments::write_many;

use super::{run, say};

/// A server that holds what lies in a spool, packed as the exporter packs it.
fn server(spool: &Path) -> Server {
    let server = Server::start();
    for path in write_many(spool, 5, 3) {
        let name = path.file_name().expect("a name").to_str().expect("text");
        let packed = zstd::encode_all(fs::read(&path).expect("readable").as_slice(), 1);
        let key = format!("ibsr/host=h1/scope=xdp-eth0/date=2026-11-22/hour=14/{name}.zst");
        server.put(&key, &packed.expect("packs"));
    }
    server.put("ibsr/README", b"no segment");
    server
}

fn report(server: &Server) -> Said {
    let mut command = run(Path::new(&format!("s3://{BUCKET}/ibsr")));
    command.args(["--endpoint-url", server.endpoint(), "--force-path-style", "--retries", "2"]);
    say(server.credentials(&mut command))
}

#[test]
fn a_bucket_gives_the_report_of_the_spool() {
    let spool = tempfile::tempdir().expect("a directory");
    let server = server(spool.path());
    let local = say(&mut run(spool.path())).expect_code(1);
    assert_eq!(report(&server).expect_code(1).stdout, local.stdout);
}

/// A broken connection in the middle of an object is no shorter object.
#[test]
fn what_breaks_for_the_moment_is_fetched_again() {
    let spool = tempfile::tempdir().expect("a directory");
    let server = server(spool.path());
    let local = say(&mut run(spool.path())).expect_code(1);
    server.fail(Rule::new(Fault::CutResponse).on(Op::Get).times(2));
    server.fail(Rule::refuse(INTERNAL_ERROR).on(Op::Get).skip(2).times(1));
    assert_eq!(report(&server).expect_code(1).stdout, local.stdout);
}

/// A report without one of its objects would look complete: there is none.
#[test]
fn an_object_that_cannot_be_had_ends_the_run() {
    let spool = tempfile::tempdir().expect("a directory");
    let server = server(spool.path());
    server.fail(Rule::refuse(ACCESS_DENIED).on(Op::Get).skip(3));
    let said = report(&server).expect_code(2).expect_stderr("failed to fetch `s3://");
    assert_eq!(said.stdout, "");
    server.behave();
    server.fail(Rule::refuse(ACCESS_DENIED).on(Op::Other));
    let _said = report(&server).expect_code(2).expect_stderr("failed to list `s3://");
}
