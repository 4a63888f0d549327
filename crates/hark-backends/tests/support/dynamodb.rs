//! A server that speaks DynamoDB's API.

use std::env;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hark_backends::storage::dynamodb::{DynamoSettings, DynamoStorage};

/// How long a server may take to be there.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// A server that ends with this value, unless somebody else has started it.
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
                return Some(server);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// A storage on this server's table, which may not exist.
    pub fn open(&self, table: &str) -> DynamoStorage {
        let (endpoint, region) = (Some(self.endpoint.clone()), Some("us-east-1".to_owned()));
        let lease = Duration::from_secs(10);
        let settings = DynamoSettings { table: table.to_owned(), endpoint, region, lease, ..DynamoSettings::default() };
        DynamoStorage::open(settings).expect("its table has a name")
    }
}

fn program() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin/dynoxide");
    let named = env::var_os("HARK_DYNAMODB_SERVER").map(PathBuf::from);
    named.or_else(|| installed.exists().then_some(installed))
}

/// A storage on a new table.
pub fn storage(server: &Server) -> DynamoStorage {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let storage = server.open(&format!("hark-{}-{number}", std::process::id()));
    storage.create_table().expect("a table can be made");
    storage
}
