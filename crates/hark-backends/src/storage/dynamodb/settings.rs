//! How a table is reached and used.

use std::time::Duration;

/// How long a process may be still, unless it is said, before others take the threads that it holds.
pub const LEASE: Duration = Duration::from_secs(30);

/// The table's name, unless it is said.
pub const TABLE: &str = "hark";

/// How a table is reached and used. What is not said here is found in the ways of every AWS SDK: environment, profiles, roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamoSettings {
    /// The table's name.
    pub table: String,
    /// Where the service is: for servers other than AWS.
    pub endpoint: Option<String>,
    /// The AWS region.
    pub region: Option<String>,
    /// The profile of `~/.aws` to use.
    pub profile: Option<String>,
    /// A bucket of S3, in which large contents are kept instead of in the table.
    pub bucket: Option<String>,
    /// Where S3 is: for servers other than AWS.
    pub bucket_endpoint: Option<String>,
    /// How long after its start a session is removed, whatever its state.
    pub ttl: Option<Duration>,
    /// How long a process may be silent before others take the threads that it holds.
    pub lease: Duration,
    /// What people are advised to do about errors.
    pub advice: Advice,
}

/// What people are advised to do about errors, which depends on where this process runs and on what has made the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The command that makes the table.
    pub make: String,
    /// The command that says what is wrong with it.
    pub check: String,
    /// The function of AWS Lambda in which this process runs, if it does. Its errors are read elsewhere.
    pub function: Option<String>,
}

impl Default for Advice {
    fn default() -> Advice {
        let (make, check) = ("hark storage init -s dynamodb", "hark storage check -s dynamodb");
        Advice { make: make.to_owned(), check: check.to_owned(), function: None }
    }
}

impl Default for DynamoSettings {
    fn default() -> DynamoSettings {
        DynamoSettings {
            table: TABLE.to_owned(),
            endpoint: None,
            region: None,
            profile: None,
            bucket: None,
            bucket_endpoint: None,
            ttl: None,
            lease: LEASE,
            advice: Advice::default(),
        }
    }
}
