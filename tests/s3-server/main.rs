// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests' S3 server as a program, for the demo and for trying things by hand. The same
//! server without faults: signatures, digests and `If-None-Match` are honoured. Not a
//! product: it listens where it is told and trusts one key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use ibsr_cli::{Answer, finish};
use ibsr_tests::s3::{Server, Settings, runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Serve a directory as an S3 bucket on loopback
///
/// Prints the endpoint on stdout when it is ready and runs until SIGTERM or SIGINT.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Directory for the objects, made if it is not there
    #[arg(long)]
    dir: PathBuf,

    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Bucket to make
    #[arg(long)]
    bucket: String,

    /// Access key that clients must use
    #[arg(long)]
    access_key: String,

    /// Its secret
    #[arg(long)]
    secret_key: String,
}

fn main() -> ExitCode {
    finish("ibsr-s3-server", run(Cli::parse()))
}

#[expect(clippy::print_stdout, reason = "the endpoint is what this program has to say")]
fn run(cli: Cli) -> anyhow::Result<Answer> {
    let Cli { dir, listen, bucket, access_key, secret_key } = cli;
    let context = format!("failed to serve `{}` on {listen}", dir.display());
    let settings = Settings { dir, listen, bucket, access_key, secret_key };
    let server = Server::serve(settings).context(context)?;
    // Handlers first: whoever reads the line may send the signal at once.
    let runtime = runtime();
    let _inside = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("{}", server.endpoint());
    runtime.block_on(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    Ok(Answer::Yes)
}
