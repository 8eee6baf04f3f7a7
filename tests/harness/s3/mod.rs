// SPDX-License-Identifier: MIT OR Apache-2.0
//! A real S3 server on loopback that can be told to fail.
//!
//! Signatures, clock skew, payload digests and checksums are verified and `If-None-Match` is
//! honoured (`tests/s3_server.rs` proves each), because a server that nods at a wrong digest
//! would let every integrity test pass. Faults come from a script, see [`faults`]; without
//! one the server behaves.
//!
//! One thread and one store directory per server; both go on drop.

pub mod faults;
mod http;
mod store;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use faults::{Rule, Script, Seen};

/// Bucket that [`Server::start`] makes.
pub const BUCKET: &str = "ibsr-test";
/// Access key of [`Server::start`].
pub const ACCESS_KEY: &str = "AKIATESTIBSR00000001";
/// Secret of [`Server::start`]; E10 looks for it in every output.
pub const SECRET_KEY: &str = "s3cr3t-NEVER-in-a-log-0123456789abcdefgh";
/// Region that requests are signed for.
pub const REGION: &str = "us-east-1";

/// Where a server stores, listens and whom it trusts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Existing directory for the objects.
    pub dir: PathBuf,
    /// Address; port 0 for any.
    pub listen: SocketAddr,
    /// Bucket to make if it is not there.
    pub bucket: String,
    /// The one access key that is known.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

/// A running server, stopped on drop.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    endpoint: String,
    script: Arc<Script>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _own_dir: Option<TempDir>,
}

impl Server {
    /// A server with an empty bucket [`BUCKET`] in a directory of its own.
    #[must_use]
    pub fn start() -> Self {
        let own_dir = scratch_dir();
        let settings = Settings {
            dir: own_dir.path().to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            bucket: BUCKET.into(),
            access_key: ACCESS_KEY.into(),
            secret_key: SECRET_KEY.into(),
        };
        let mut server = Self::serve(settings).expect("a server on loopback");
        server._own_dir = Some(own_dir);
        server
    }

    /// A server as `settings` say.
    ///
    /// # Errors
    /// When the directory or the address cannot be used.
    pub fn serve(settings: Settings) -> io::Result<Self> {
        fs::create_dir_all(settings.dir.join(&settings.bucket))?;
        let script = Arc::new(Script::default());
        let service = store::service(&settings, &script)?;
        let socket = std::net::TcpListener::bind(settings.listen)?;
        socket.set_nonblocking(true)?;
        let endpoint = format!("http://{}", socket.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&script);
        let thread = std::thread::Builder::new().name("s3-server".into()).spawn(move || {
            runtime().block_on(async {
                let listener = TcpListener::from_std(socket).expect("a listening socket");
                tokio::select! {
                    () = http::serve(listener, service, served) => {}
                    _ = stopped => {}
                }
            });
        })?;
        let (stop, thread) = (Some(stop), Some(thread));
        Ok(Self { settings, endpoint, script, stop, thread, _own_dir: None })
    }

    /// `http://127.0.0.1:PORT`, for `--endpoint-url`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes requests that match `rule` fail, before all rules given earlier.
    pub fn fail(&self, rule: Rule) {
        self.script.add(rule);
    }

    /// Behaves again.
    pub fn behave(&self) {
        self.script.clear();
    }

    /// Every request so far, in the order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.script.seen()
    }

    /// Keys of the requests that stored an object, one for each time it was stored.
    #[must_use]
    pub fn stored(&self) -> Vec<String> {
        self.script.stored()
    }

    /// How often an object was stored.
    #[must_use]
    pub fn stored_count(&self) -> usize {
        self.script.stored_count()
    }

    /// What the bucket holds: key to bytes, read from the store without asking the server.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let root = self.settings.dir.join(&self.settings.bucket);
        let mut objects = BTreeMap::new();
        read_below(&root, &root, &mut objects);
        objects
    }

    /// Parts of multipart uploads that were neither completed nor aborted.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.settings.dir).expect("the store");
        let names = entries.map(|entry| entry.expect("the store").file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name.starts_with(".upload"))
            .collect()
    }

    /// User metadata of an object, as a HEAD request says.
    #[must_use]
    pub fn metadata(&self, key: &str) -> BTreeMap<String, String> {
        let head = self.client().head_object().bucket(&self.settings.bucket).key(key).send();
        let head = runtime().block_on(head).expect("the object is there");
        head.metadata.unwrap_or_default().into_iter().collect()
    }

    /// Puts an object there behind the exporter's back.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let put = self.client().put_object().bucket(&self.settings.bucket).key(key);
        runtime().block_on(put.body(bytes.to_vec().into()).send()).expect("the object is stored");
    }

    /// Takes an object away behind the exporter's back.
    pub fn delete(&self, key: &str) {
        let delete = self.client().delete_object().bucket(&self.settings.bucket).key(key);
        runtime().block_on(delete.send()).expect("the object is deleted");
    }

    /// A client that this server trusts and that does not retry.
    #[must_use]
    pub fn client(&self) -> aws_sdk_s3::Client {
        client(&self.endpoint, &self.settings.access_key, &self.settings.secret_key)
    }

    /// Gives `command` the credentials and takes away every other source of them.
    pub fn credentials<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        isolate(command)
            .env("AWS_ACCESS_KEY_ID", &self.settings.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.settings.secret_key)
            .env("AWS_REGION", REGION)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Takes every source of AWS settings and every proxy away from `command`.
pub fn isolate(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if text.starts_with("aws_") || text.ends_with("_proxy") {
            command.env_remove(&name);
        }
    }
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
}

/// A client with these keys that does not retry.
#[must_use]
pub fn client(endpoint: &str, access_key: &str, secret_key: &str) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        .force_path_style(true)
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// A small runtime for one call of a client.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A directory in memory where there is one: thousands of small synchronous writes would
/// measure the disk.
#[must_use]
pub fn scratch_dir() -> TempDir {
    let made = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
    made.expect("a temporary directory")
}

fn read_below(root: &Path, dir: &Path, objects: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).expect("the store") {
        let path = entry.expect("the store").path();
        if path.is_dir() {
            read_below(root, &path, objects);
        } else {
            let key = path.strip_prefix(root).expect("below the root").to_string_lossy();
            objects.insert(key.into_owned(), fs::read(&path).expect("the store"));
        }
    }
}
