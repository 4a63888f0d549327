//! The table of DynamoDB against the suites for all storages, with a server on this machine.
//!
//! The server is `dynoxide`, which `./check` installs; `HARK_DYNAMODB_SERVER` names another one's program that is started as
//! `PROGRAM serve --port N`. With `HARK_DYNAMODB_ENDPOINT` the tests use a server that runs already, such as AWS's own DynamoDB
//! Local. Without any of these they are skipped, which they say.

#![cfg(feature = "dynamodb")]

#[path = "support/dynamodb.rs"]
mod server;

use std::sync::Arc;

use hark_backends::storage::dynamodb::Created;
use hark_engine::Storage;
use hark_engine::conformance::{check_leases, check_storage};
use server::{Server, storage};

#[test]
fn the_table_is_a_storage() {
    let Some(server) = Server::start() else { return };
    check_storage(&|| -> Arc<dyn Storage> { Arc::new(storage(&server)) });
}

#[test]
fn the_table_is_a_storage_whose_threads_are_leased() {
    let Some(server) = Server::start() else { return };
    check_leases(&|| -> Arc<dyn Storage> { Arc::new(storage(&server)) });
}

#[test]
fn a_table_is_made_once_and_is_as_it_must_be() {
    let Some(server) = Server::start() else { return };
    let storage = storage(&server);
    assert_eq!(storage.create_table(), Ok(Created::Existing));
    for finding in storage.check().unwrap() {
        assert_eq!(finding.fault, None, "{}", finding.subject);
    }
    let missing = server.open("no-such-table");
    let findings = missing.check().unwrap();
    let fault = findings[0].fault.as_deref().unwrap_or_default();
    assert!(fault.contains("`no-such-table`") && fault.contains("hark storage init"), "{findings:?}");
}
