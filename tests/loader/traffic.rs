// SPDX-License-Identifier: MIT OR Apache-2.0
//! Traffic that runs across the link while something happens to the loader: a ping and a TCP
//! echo. Nothing may happen to it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ibsr_tests::netns::{HOST_V4, Pair};
use rustix::process::{Pid, Signal, kill_process};

/// Ping and echo from the peer to the host, until [`Self::assert_unaffected`].
pub struct Traffic {
    ping: Child,
    stop: Arc<AtomicBool>,
    echoes: Arc<AtomicU32>,
    server: JoinHandle<()>,
    client: JoinHandle<()>,
}

const PERIOD: Duration = Duration::from_millis(10);
/// Far beyond any retransmission that a lost packet could cause on a local wire.
const STALL: Duration = Duration::from_secs(5);
const ECHO_PORT: u16 = 7007;

impl Traffic {
    pub fn start(pair: &Pair) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let echoes = Arc::new(AtomicU32::new(0));
        let listener =
            pair.host.inside(|| TcpListener::bind((HOST_V4, ECHO_PORT)).expect("a free port"));
        let server = thread::spawn(move || serve(&listener));
        let stream =
            pair.peer.inside(|| TcpStream::connect((HOST_V4, ECHO_PORT)).expect("listening"));
        let client = {
            let (stop, echoes) = (Arc::clone(&stop), Arc::clone(&echoes));
            thread::spawn(move || talk(stream, &stop, &echoes))
        };
        let ping = pair
            .peer
            .command("ping")
            .args(["-n", "-i", "0.02", "-W", "5", HOST_V4])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ping is installed");
        Self { ping, stop, echoes, server, client }
    }

    /// Stops and checks: every ping was answered, every echo came back in time.
    #[track_caller]
    pub fn assert_unaffected(mut self) {
        let before = self.echoes.load(Ordering::Relaxed);
        thread::sleep(PERIOD * 10);
        assert!(self.echoes.load(Ordering::Relaxed) > before, "the echo has stalled");
        self.stop.store(true, Ordering::Relaxed);
        self.client.join().expect("every echo came back in time");
        self.server.join().expect("the server saw the end of the connection");
        let pid = Pid::from_raw(i32::try_from(self.ping.id()).expect("a pid")).expect("not zero");
        kill_process(pid, Signal::INT).expect("ping still runs");
        let mut said = String::new();
        self.ping.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
        let _status = self.ping.wait().expect("reaped");
        let summary = said.lines().find(|line| line.contains("transmitted")).expect("a summary");
        let mut numbers = summary.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
        let (sent, received) = (numbers.next().expect("sent"), numbers.next().expect("received"));
        // The last request may have no answer yet when ping is stopped.
        assert!(sent > 3 && sent - received <= 1, "{summary}");
    }
}

fn serve(listener: &TcpListener) {
    let (mut stream, _peer) = listener.accept().expect("the client connects");
    stream.set_nodelay(true).expect("a TCP socket");
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|read| read == 1) {
        stream.write_all(&byte).expect("the client reads");
    }
}

fn talk(mut stream: TcpStream, stop: &AtomicBool, echoes: &AtomicU32) {
    stream.set_nodelay(true).expect("a TCP socket");
    stream.set_read_timeout(Some(STALL)).expect("a TCP socket");
    while !stop.load(Ordering::Relaxed) {
        let byte = [echoes.fetch_add(1, Ordering::Relaxed).to_le_bytes()[0]];
        stream.write_all(&byte).expect("the server reads");
        let mut back = [0];
        stream.read_exact(&mut back).expect("an echo in time");
        assert_eq!(back, byte);
        thread::sleep(PERIOD);
    }
}

/// One ping from the peer; whether it was answered.
pub fn ping(pair: &Pair) -> bool {
    let mut command: Command = pair.peer.command("ping");
    command.args(["-n", "-c", "1", "-W", "1", HOST_V4]);
    command.output().expect("ping is installed").status.success()
}
