//! Creates the table, and checks whether it is as it must be.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use hark_engine::StorageError;

use super::Shared;
use super::api::PATIENCE;
use super::bucket::Bucket;
use super::error::Failed;
use super::item::text;
use super::layout::{DUE_INDEX, ItemKey, LISTING_INDEX, PARTITION, SORT};
use super::requests::{Expression, Within, mistake};

/// The attribute with the time when an item expires.
const EXPIRY: &str = "x";

/// How long creating a table may take.
const CREATION_TIME_MAX: Duration = Duration::from_secs(300);
/// The interval between two checks whether it is ready.
const CREATION_PAUSE: Duration = Duration::from_millis(500);

/// The difference between clocks from which on it is reported.
const SKEW_MAX: Duration = Duration::from_secs(2);

/// The result of creating the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was created.
    New,
    /// It existed already.
    Existing,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The subject of the check.
    pub subject: String,
    /// The fault and its remedy, if there is one.
    pub fault: Option<String>,
}

impl Finding {
    fn of<T>(subject: impl Into<String>, found: Result<T, StorageError>) -> (Finding, Option<T>) {
        let subject = subject.into();
        match found {
            Ok(found) => (Finding { subject, fault: None }, Some(found)),
            Err(StorageError::Transient(fault) | StorageError::Permanent(fault)) => {
                (Finding { subject, fault: Some(fault) }, None)
            }
            Err(other) => (Finding { subject, fault: Some(other.to_string()) }, None),
        }
    }
}

fn attribute(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition, StorageError> {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().map_err(mistake)
}

fn keys(partition: &str, sort: &str) -> Result<Vec<KeySchemaElement>, StorageError> {
    let element = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(mistake);
    Ok(vec![element(partition, KeyType::Hash)?, element(sort, KeyType::Range)?])
}

fn index(name: &str, partition: &str, sort: &str, with: &[&str]) -> Result<GlobalSecondaryIndex, StorageError> {
    let projection = Projection::builder()
        .projection_type(ProjectionType::Include)
        .set_non_key_attributes(Some(with.iter().map(|name| (*name).to_owned()).collect()));
    let index = GlobalSecondaryIndex::builder().index_name(name).set_key_schema(Some(keys(partition, sort)?));
    index.projection(projection.build()).build().map_err(mistake)
}

impl Shared {
    /// Creates the table if it does not exist, and waits until it is ready.
    pub async fn create_table(&self) -> Result<Created, StorageError> {
        let api = &self.api;
        let kinds = [
            (PARTITION, ScalarAttributeType::S),
            (SORT, ScalarAttributeType::B),
            ("k", ScalarAttributeType::S),
            ("d", ScalarAttributeType::N),
            ("l", ScalarAttributeType::S),
            ("i", ScalarAttributeType::S),
        ];
        let attributes = kinds.into_iter().map(|(name, kind)| attribute(name, kind)).collect::<Result<_, _>>()?;
        let indexes = vec![
            index(DUE_INDEX, "k", "d", &["v", "q", "u", "g", "m", "b"])?,
            index(LISTING_INDEX, "l", "i", &["v", "q", "s", "a", "e", "d"])?,
        ];
        let request = api
            .client()?
            .create_table()
            .table_name(api.table())
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(attributes))
            .set_key_schema(Some(keys(PARTITION, SORT)?))
            .set_global_secondary_indexes(Some(indexes));
        let created = match api.call("CreateTable", PATIENCE, |_| false, || request.clone().send()).await {
            Ok(_) => Created::New,
            Err(Failed::Refused { error: CreateTableError::ResourceInUseException(_), .. }) => Created::Existing,
            Err(failed) => return Err(failed.into_error("CreateTable", api.target())),
        };
        let begun = Instant::now();
        while self.describe().await?.table_status() != Some(&TableStatus::Active) {
            if begun.elapsed() > CREATION_TIME_MAX {
                return Err(StorageError::Transient(format!("the table `{}` is not active yet", api.table())));
            }
            tokio::time::sleep(CREATION_PAUSE).await;
        }
        if !self.has_expiry().await? {
            let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRY);
            let expiry = expiry.build().map_err(mistake)?;
            let request =
                api.client()?.update_time_to_live().table_name(api.table()).time_to_live_specification(expiry);
            let updated = api.call("UpdateTimeToLive", PATIENCE, |_| false, || request.clone().send()).await;
            updated.map_err(|failed| failed.into_error("UpdateTimeToLive", api.target()))?;
        }
        Ok(created)
    }

    async fn describe(&self) -> Result<TableDescription, StorageError> {
        let api = &self.api;
        let request = api.client()?.describe_table().table_name(api.table());
        let described = api.call("DescribeTable", PATIENCE, |_| false, || request.clone().send()).await;
        let described = described.map_err(|failed| failed.into_error("DescribeTable", api.target()))?;
        described.table.ok_or_else(|| mistake("DescribeTable describes nothing"))
    }

    /// Whether items expire by their attribute.
    async fn has_expiry(&self) -> Result<bool, StorageError> {
        let api = &self.api;
        let request = api.client()?.describe_time_to_live().table_name(api.table());
        let described = api.call("DescribeTimeToLive", PATIENCE, |_| false, || request.clone().send()).await;
        let described = described.map_err(|failed| failed.into_error("DescribeTimeToLive", api.target()))?;
        Ok(described.time_to_live_description().is_some_and(|expiry| {
            let is_on = [TimeToLiveStatus::Enabled, TimeToLiveStatus::Enabling];
            expiry.attribute_name() == Some(EXPIRY) && expiry.time_to_live_status().is_some_and(|at| is_on.contains(at))
        }))
    }

    /// Checks everything that sessions need.
    pub async fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (found, table) = Finding::of(format!("table `{}`", self.api.table()), self.describe().await);
        findings.push(found);
        let Some(table) = table else { return findings };
        findings.push(Finding { subject: "state of the table".into(), fault: fault_of_state(&table) });
        findings.push(Finding {
            subject: "keys and indexes".into(),
            fault: fault_of_layout(&table, &self.api.settings().advice.make),
        });
        findings.push(match self.has_expiry().await {
            Ok(true) => Finding { subject: "expiry of items".into(), fault: None },
            Ok(false) => {
                let make = &self.api.settings().advice.make;
                let fault = format!("items do not expire by their attribute `{EXPIRY}`; `{make}` switches that on");
                Finding { subject: "expiry of items".into(), fault: Some(fault) }
            }
            Err(error) => Finding::of::<()>("expiry of items", Err(error)).0,
        });
        findings.push(Finding { subject: "clock".into(), fault: self.fault_of_clock().await });
        findings.extend(self.check_permissions().await);
        if let Some(bucket) = &self.api.settings().bucket {
            findings.extend(self.check_bucket(bucket).await);
        }
        findings
    }

    /// Makes each call that sessions make on a bucket, with an object of its own.
    async fn check_bucket(&self, name: &str) -> Vec<Finding> {
        let bucket = Bucket::new(&self.api, name);
        let (found, is_there) = Finding::of(format!("bucket `{name}`"), bucket.check().await);
        if is_there.is_none() {
            return vec![found];
        }
        let prefix = format!("{}/check/", self.api.table());
        let key = format!("{prefix}{:016x}", crate::surroundings::random());
        vec![
            found,
            Finding::of("PutObject", bucket.put(&key, b"check").await).0,
            Finding::of("GetObject", bucket.get(&key).await).0,
            Finding::of("ListObjectsV2", bucket.list(&prefix).await).0,
            Finding::of("DeleteObject", bucket.delete(&key).await).0,
        ]
    }

    /// Makes each call that sessions make, with an item of its own.
    async fn check_permissions(&self) -> Vec<Finding> {
        let api = &self.api;
        let key = ItemKey { partition: "check".to_owned(), sort: crate::surroundings::random().to_be_bytes().to_vec() };
        let within = Within {
            partition: key.partition.clone(),
            from: key.sort.clone(),
            to: key.sort.clone(),
            attributes: None,
            limit: 1,
        };
        let others = [key.clone(), ItemKey { partition: "check".to_owned(), sort: vec![1] }];
        let update = Expression::new("SET s = :s", [(":s", text("x"))]);
        let transacted =
            super::commit::Action { key: key.clone(), deed: super::commit::Deed::Put(key.item()), expected: None };
        let transaction = async {
            let items = vec![transacted.transacted(api.table())?];
            let token = format!("{:016x}", crate::surroundings::random());
            api.transact(items, token, PATIENCE).await.map(drop)
        };
        vec![
            Finding::of("PutItem", api.put(key.item(), None).await).0,
            Finding::of("UpdateItem", api.update(&key, update, None, PATIENCE).await).0,
            Finding::of("GetItem", api.get(&key).await).0,
            Finding::of("BatchGetItem", api.get_all(&others).await).0,
            Finding::of("Query", api.query(within).await).0,
            Finding::of("TransactWriteItems", transaction.await).0,
            Finding::of("BatchWriteItem", api.put_all(vec![key.item()]).await).0,
            Finding::of("DeleteItem", api.delete(&key, None).await).0,
        ]
    }

    /// The server's clock is in a header of each answer.
    async fn fault_of_clock(&self) -> Option<String> {
        let client = self.api.client().ok()?;
        // Only the headers of an error can be seen.
        let request = client.describe_table().table_name(format!("{}-that-is-not-there", self.api.table()));
        let Err(SdkError::ServiceError(answer)) = request.send().await else { return None };
        let date = DateTime::from_str(answer.raw().headers().get("date")?, DateTimeFormat::HttpDate).ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let date = u64::try_from(date.secs()).map(Duration::from_secs).ok();
        let skew = date.map(|date| date.abs_diff(now))?;
        (skew > SKEW_MAX).then(|| {
            format!("this machine's clock differs from the server's by {} s; leases and order suffer", skew.as_secs())
        })
    }
}

fn fault_of_state(table: &TableDescription) -> Option<String> {
    let status = table.table_status()?;
    (*status != TableStatus::Active).then(|| format!("it is {status}; wait until it is ACTIVE"))
}

fn fault_of_layout(table: &TableDescription, make: &str) -> Option<String> {
    let is_as = |found: &[KeySchemaElement], partition: &str, sort: &str| {
        found.iter().any(|key| key.attribute_name() == partition && *key.key_type() == KeyType::Hash)
            && found.iter().any(|key| key.attribute_name() == sort && *key.key_type() == KeyType::Range)
    };
    if !is_as(table.key_schema(), PARTITION, SORT) {
        return Some(format!("its keys are others; use another table, which `{make}` makes"));
    }
    for (name, partition, sort) in [(DUE_INDEX, "k", "d"), (LISTING_INDEX, "l", "i")] {
        let index = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(name));
        if !index.is_some_and(|index| is_as(index.key_schema(), partition, sort)) {
            return Some(format!("the index `{name}` is missing; use another table, which `{make}` makes"));
        }
    }
    None
}
