//! The table of sessions, as `hark storage init` creates it. A test compares the two.

use serde_json::{Value, json};

use crate::names::InstanceName;

pub(super) fn table(name: &InstanceName) -> Value {
    let kinds = [("p", "S"), ("r", "B"), ("k", "S"), ("d", "N"), ("l", "S"), ("i", "S")];
    json!({
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "TableName": name.table(),
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions":
                kinds.map(|(name, kind)| json!({ "AttributeName": name, "AttributeType": kind })),
            "KeySchema": keys("p", "r"),
            "GlobalSecondaryIndexes": [
                index("due", "k", "d", &["v", "q", "u", "g", "m", "b"]),
                index("listing", "l", "i", &["v", "q", "s", "a", "e", "d"]),
            ],
            "TimeToLiveSpecification": { "AttributeName": "x", "Enabled": true },
        },
    })
}

fn keys(partition: &str, sort: &str) -> Value {
    json!([
        { "AttributeName": partition, "KeyType": "HASH" },
        { "AttributeName": sort, "KeyType": "RANGE" },
    ])
}

fn index(name: &str, partition: &str, sort: &str, with: &[&str]) -> Value {
    json!({
        "IndexName": name,
        "KeySchema": keys(partition, sort),
        "Projection": { "ProjectionType": "INCLUDE", "NonKeyAttributes": with },
    })
}
