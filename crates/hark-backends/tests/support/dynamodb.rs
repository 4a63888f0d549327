//! A server with DynamoDB's API.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hark_backends::storage::dynamodb::{DynamoSettings, DynamoStorage};

/// How long a server may take to start.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// A server that is stopped when this value is dropped, unless it was running before.
pub struct Server {
    endpoint: String,
    process: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Server {
    /// Starts one. None if there is none on this machine.
    pub fn start() -> Option<Server> {
        if let Ok(endpoint) = env::var("HARK_DYNAMODB_ENDPOINT") {
            return Some(Server { endpoint, process: None });
        }
        let Some(program) = program() else {
            eprintln!("SKIPPED: there is no DynamoDB server; `./check` installs one");
            return None;
        };
        // The port may be taken by another process before the server has it.
        (0..10).find_map(|_| Server::try_start(&program)).or_else(|| panic!("{} does not start", program.display()))
    }

    fn try_start(program: &Path) -> Option<Server> {
        // One after the other: two tests must not find the same free port.
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it has an address").port();
        drop(listener);
        let mut command = Command::new(program);
        command.args(["serve", "--log", "quiet", "--port"]).arg(port.to_string());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the server can be started");
        let mut server = Server { endpoint: format!("http://127.0.0.1:{port}"), process: Some(process) };
        let begun = Instant::now();
        while begun.elapsed() < START_TIME_MAX {
            if server.process.as_mut()?.try_wait().expect("it can be asked for").is_some() {
                return None;
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                // The answer may come from another server that has just taken the port: then this one ends.
                thread::sleep(Duration::from_millis(50));
                return server.process.as_mut()?.try_wait().expect("it can be asked for").is_none().then_some(server);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// A storage on this server's table, which may not exist.
    pub fn open(&self, table: &str) -> DynamoStorage {
        self.open_with(table, DynamoSettings::default())
    }

    /// The same, with leases of this length.
    #[allow(dead_code, reason = "not all tests that share this module need it")]
    pub fn open_leased(&self, table: &str, lease: Duration) -> DynamoStorage {
        let (endpoint, region) = (Some(self.endpoint.clone()), Some("us-east-1".to_owned()));
        let settings = DynamoSettings { table: table.to_owned(), endpoint, region, lease, ..DynamoSettings::default() };
        DynamoStorage::open(settings).expect("its table has a name")
    }

    fn open_with(&self, table: &str, settings: DynamoSettings) -> DynamoStorage {
        let (endpoint, region) = (Some(self.endpoint.clone()), Some("us-east-1".to_owned()));
        // Long enough that no lease is renewed while a test runs.
        let lease = Duration::from_secs(600);
        let settings = DynamoSettings { table: table.to_owned(), endpoint, region, lease, ..settings };
        DynamoStorage::open(settings).expect("its table has a name")
    }
}

fn program() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin/dynoxide");
    let named = env::var_os("HARK_DYNAMODB_SERVER").map(PathBuf::from);
    named.or_else(|| installed.exists().then_some(installed))
}

/// A new table's name, and a storage on it.
pub fn new_table(server: &Server) -> (String, DynamoStorage) {
    new_table_with(server, DynamoSettings::default())
}

fn new_table_with(server: &Server, settings: DynamoSettings) -> (String, DynamoStorage) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("hark-{}-{number}", std::process::id());
    let storage = server.open_with(&name, settings);
    storage.create_table().expect("a table can be made");
    (name, storage)
}

/// A server with S3's API and a bucket.
pub struct BucketServer(Server);

impl BucketServer {
    /// Starts one. None if there is none on this machine.
    pub fn start() -> Option<BucketServer> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        if !root.join("target/ministack-venv/bin/ministack").exists() {
            eprintln!("SKIPPED: there is no S3 server; `./check` installs one");
            return None;
        }
        let server = (0..10).find_map(|_| Server::try_start(&root.join("tests/dynamodb/ministack.py")))?;
        let mut stream = TcpStream::connect(server.endpoint.trim_start_matches("http://")).expect("it listens");
        let request = "PUT /hark-test HTTP/1.1\r\nHost: s3\r\nContent-Length: 0\r\nConnection: close\r\n\
                       Authorization: AWS4-HMAC-SHA256 Credential=t/20260101/us-east-1/s3/aws4_request\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it can be asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "the bucket cannot be made: {answer}");
        Some(BucketServer(server))
    }

    /// A storage on a new table of a server, with this bucket.
    pub fn new_table(&self, server: &Server) -> DynamoStorage {
        let (bucket, endpoint) = (Some("hark-test".to_owned()), Some(self.0.endpoint.clone()));
        new_table_with(server, DynamoSettings { bucket, bucket_endpoint: endpoint, ..DynamoSettings::default() }).1
    }
}

/// The project's proxy in front of a server, which injects faults and is stopped when this value is dropped.
pub struct Proxy {
    server: Server,
    address: String,
}

impl Proxy {
    /// Starts one with these options.
    pub fn start(server: &Server, options: &[&str]) -> Proxy {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dynamodb/proxy.py");
        let target = server.endpoint.trim_start_matches("http://");
        let mut command = Command::new("python3");
        command.arg(script).args(["--keys", "p,r", "--server", target]).args(options).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the proxy can be started");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output is read");
        BufReader::new(output).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().trim_start_matches("listening on ").to_owned();
        Proxy { server: Server { endpoint: format!("http://{address}"), process: Some(process) }, address }
    }

    /// A storage behind the proxy.
    pub fn open(&self, table: &str) -> DynamoStorage {
        self.server.open(table)
    }

    /// Whether it holds a write that is neither carried out nor answered.
    pub fn holds(&self) -> bool {
        let counts = self.ask("GET /counts");
        let held = counts.split_once("\"held\": ").and_then(|(_, rest)| rest.chars().next());
        held.unwrap_or_else(|| panic!("it counts what it holds: {counts}")) != '0'
    }

    /// Forwards the writes that it holds, and holds no more.
    pub fn release(&self) {
        self.ask("POST /go");
    }

    fn ask(&self, what: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the proxy listens");
        let request = format!("{what} HTTP/1.1\r\nHost: proxy\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the proxy can be asked");
        // It keeps the connection open.
        let (mut answer, mut length) = (BufReader::new(stream), 0);
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).expect("the proxy answers");
            match line.trim().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().expect("it is a number"),
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).expect("the proxy answers");
        String::from_utf8(body).expect("it answers text")
    }
}
