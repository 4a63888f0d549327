//! The calls to DynamoDB's API.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, DeleteRequest, KeysAndAttributes, PutRequest, ReturnConsumedCapacity,
    ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, WriteRequest,
};
use hark_engine::StorageError;

use super::api::{Api, PATIENCE};
use super::error::Failed;
use super::item::{Item, bytes, text};
use super::layout::{ItemKey, PARTITION, SORT};

/// The maximum number of keys in a batch of reads.
const KEYS_MAX: usize = 100;
/// The factor by which each further request of a query reads more of an index, if the query has not found enough.
const PAGE_GROWTH: usize = 8;
/// The maximum numbers of items and bytes in a batch of writes.
const WRITES_MAX: usize = 25;
const WRITE_BYTES_MAX: usize = 2 << 20;
/// How many times the unprocessed rest of a batch is sent again.
const ROUNDS_MAX: u32 = 30;

/// The outcome of a conditional write.
#[derive(Debug)]
pub(super) enum Written {
    /// It is done. This is the requested item: after an update, before a deletion.
    Done(Option<Item>),
    /// The condition does not hold; this is the existing item.
    Refused { found: Option<Item>, in_doubt: bool },
    /// The answer was lost.
    Unknown,
}

/// The outcome of a transaction.
#[derive(Debug)]
pub(super) enum Transacted {
    Done,
    /// The conditions on these items do not hold.
    Refused {
        failed: Vec<usize>,
        in_doubt: bool,
    },
    /// The answer was lost.
    Unknown,
}

/// A condition, or an update, with the values that it names.
#[derive(Debug, Clone, Default)]
pub(super) struct Expression {
    pub text: String,
    pub values: HashMap<String, AttributeValue>,
}

impl Expression {
    pub fn new<const N: usize>(text: impl Into<String>, values: [(&str, AttributeValue); N]) -> Expression {
        let values = values.map(|(name, value)| (name.to_owned(), value));
        Expression { text: text.into(), values: HashMap::from(values) }
    }
}

/// A filter on the items that a query reads.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub expression: Expression,
    /// Whether it rejects most of them. Otherwise the first request reads as many items as are wanted, and each further
    /// one more.
    pub is_sparse: bool,
}

/// The items of a partition that are requested.
#[derive(Debug, Clone)]
pub(super) struct Within {
    pub partition: String,
    /// The first and the last sort key, both included.
    pub from: Vec<u8>,
    pub to: Vec<u8>,
    /// The attributes, if not all.
    pub attributes: Option<&'static str>,
    pub limit: usize,
}

fn never<E>(_: &E) -> bool {
    false
}

/// Whether a transaction was canceled for transient reasons.
fn is_canceled_for_now(error: &TransactWriteItemsError) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(canceled) = error else { return false };
    let mut codes =
        canceled.cancellation_reasons().iter().filter_map(|reason| reason.code()).filter(|code| *code != "None");
    let passes = |code: &str| {
        matches!(
            code,
            "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded" | "RequestLimitExceeded"
        )
    };
    codes.all(passes)
}

impl Api {
    fn units(capacity: Option<&ConsumedCapacity>) -> f64 {
        capacity.and_then(ConsumedCapacity::capacity_units).unwrap_or_default()
    }

    fn note_reads(&self, capacity: &[ConsumedCapacity]) {
        self.counter().note_read(capacity.iter().filter_map(ConsumedCapacity::capacity_units).sum());
    }

    fn note_writes(&self, capacity: &[ConsumedCapacity]) {
        self.counter().note_write(capacity.iter().filter_map(ConsumedCapacity::capacity_units).sum());
    }

    fn failed<E: ProvideErrorMetadata>(&self, name: &str) -> impl Fn(Failed<E>) -> StorageError {
        move |failed| failed.into_error(name, self.target())
    }

    pub async fn get(&self, key: &ItemKey) -> Result<Option<Item>, StorageError> {
        let request = self
            .client()?
            .get_item()
            .table_name(self.table())
            .set_key(Some(key.item()))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = self.call("GetItem", PATIENCE, never, || request.clone().send()).await;
        let answer = answer.map_err(self.failed("GetItem"))?;
        self.counter().note_read(Api::units(answer.consumed_capacity()));
        Ok(answer.item)
    }

    /// Those of these items that exist, by key.
    pub async fn get_all(&self, keys: &[ItemKey]) -> Result<HashMap<ItemKey, Item>, StorageError> {
        let mut found = HashMap::new();
        let different: HashSet<&ItemKey> = keys.iter().collect();
        let different: Vec<&ItemKey> = different.into_iter().collect();
        match different[..] {
            [] => {}
            [key] => found.extend(self.get(key).await?.map(|item| (key.clone(), item))),
            _ => {
                for some in different.chunks(KEYS_MAX) {
                    self.get_some(some, &mut found).await?;
                }
            }
        }
        Ok(found)
    }

    async fn get_some(&self, keys: &[&ItemKey], found: &mut HashMap<ItemKey, Item>) -> Result<(), StorageError> {
        let mut left: Vec<Item> = keys.iter().map(|key| key.item()).collect();
        for round in 0..ROUNDS_MAX {
            pause_before(round).await;
            let wanted = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true).build();
            let wanted = wanted.map_err(|error| StorageError::Permanent(error.to_string()))?;
            let request = self
                .client()?
                .batch_get_item()
                .request_items(self.table(), wanted)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let answer = self.call("BatchGetItem", PATIENCE, never, || request.clone().send()).await;
            let answer = answer.map_err(self.failed("BatchGetItem"))?;
            self.note_reads(answer.consumed_capacity());
            for item in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                found.extend(ItemKey::of(&item).map(|key| (key, item)));
            }
            left = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, keys)| keys.keys).collect();
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(StorageError::Transient(format!("BatchGetItem on table `{}` leaves keys over each time", self.table())))
    }

    /// The items in a range, in order.
    pub async fn query(&self, within: Within) -> Result<Vec<Item>, StorageError> {
        let (mut found, mut from) = (Vec::new(), None);
        if within.from > within.to {
            return Ok(found);
        }
        loop {
            let left = within.limit - found.len();
            let request = self
                .client()?
                .query()
                .table_name(self.table())
                .consistent_read(true)
                .key_condition_expression(format!("{PARTITION} = :p AND {SORT} BETWEEN :a AND :b"))
                .expression_attribute_values(":p", text(&within.partition))
                .expression_attribute_values(":a", bytes(&within.from[..]))
                .expression_attribute_values(":b", bytes(&within.to[..]))
                .set_projection_expression(within.attributes.map(str::to_owned))
                .set_limit(i32::try_from(left).ok())
                .set_exclusive_start_key(from)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let answer = self.call("Query", PATIENCE, never, || request.clone().send()).await;
            let answer = answer.map_err(self.failed("Query"))?;
            self.counter().note_read(Api::units(answer.consumed_capacity()));
            found.extend(answer.items.into_iter().flatten());
            from = answer.last_evaluated_key;
            if from.is_none() || found.len() >= within.limit {
                return Ok(found);
            }
        }
    }

    /// The items of an index's partition whose sort key fits, in order or in the other one. `filter` is asked of each.
    pub async fn query_index(
        &self,
        index: &'static str,
        keys: Expression,
        filter: Option<Filter>,
        is_forward: bool,
        limit: usize,
    ) -> Result<Vec<Item>, StorageError> {
        let (mut found, mut from) = (Vec::new(), None);
        // What a filter leaves out counts, too.
        let mut page = if filter.as_ref().is_some_and(|filter| filter.is_sparse) { usize::MAX } else { limit };
        let filter = filter.map(|filter| filter.expression);
        loop {
            let left: usize = limit - found.len();
            let values = filter.iter().flat_map(|filter| filter.values.clone()).chain(keys.values.clone()).collect();
            let request = self
                .client()?
                .query()
                .table_name(self.table())
                .index_name(index)
                .key_condition_expression(&keys.text)
                .set_filter_expression(filter.as_ref().map(|filter| filter.text.clone()))
                .set_expression_attribute_values(Some(values))
                .scan_index_forward(is_forward)
                .set_limit(i32::try_from(if filter.is_some() { page } else { left }).ok())
                .set_exclusive_start_key(from)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let answer = self.call("Query", PATIENCE, never, || request.clone().send()).await;
            let answer = answer.map_err(self.failed("Query"))?;
            self.counter().note_read(Api::units(answer.consumed_capacity()));
            found.extend(answer.items.into_iter().flatten().take(left));
            from = answer.last_evaluated_key;
            if from.is_none() || found.len() >= limit {
                return Ok(found);
            }
            page = page.saturating_mul(PAGE_GROWTH);
        }
    }

    pub async fn put(&self, item: Item, condition: Option<Expression>) -> Result<Written, StorageError> {
        let Expression { text, values } = condition.unwrap_or_default();
        let request = self
            .client()?
            .put_item()
            .table_name(self.table())
            .set_item(Some(item))
            .set_condition_expression(Some(text).filter(|text| !text.is_empty()))
            .set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match self.call("PutItem", PATIENCE, never, || request.clone().send()).await {
            Ok(answer) => {
                self.counter().note_write(Api::units(answer.consumed_capacity()));
                Ok(Written::Done(None))
            }
            Err(Failed::Refused { error: PutItemError::ConditionalCheckFailedException(failed), in_doubt }) => {
                Ok(Written::Refused { found: failed.item, in_doubt })
            }
            Err(failed) => self.doubtful("PutItem", failed),
        }
    }

    pub async fn delete(&self, key: &ItemKey, condition: Option<Expression>) -> Result<Written, StorageError> {
        self.delete_and_return(key, condition, ReturnValue::None).await
    }

    /// Deletes an item and returns it.
    pub async fn take(&self, key: &ItemKey, condition: Expression) -> Result<Written, StorageError> {
        self.delete_and_return(key, Some(condition), ReturnValue::AllOld).await
    }

    async fn delete_and_return(
        &self,
        key: &ItemKey,
        condition: Option<Expression>,
        returned: ReturnValue,
    ) -> Result<Written, StorageError> {
        let Expression { text, values } = condition.unwrap_or_default();
        let request = self
            .client()?
            .delete_item()
            .table_name(self.table())
            .set_key(Some(key.item()))
            .set_condition_expression(Some(text).filter(|text| !text.is_empty()))
            .set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()))
            .return_values(returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match self.call("DeleteItem", PATIENCE, never, || request.clone().send()).await {
            Ok(answer) => {
                self.counter().note_write(Api::units(answer.consumed_capacity()));
                Ok(Written::Done(answer.attributes))
            }
            Err(Failed::Refused { error: DeleteItemError::ConditionalCheckFailedException(failed), in_doubt }) => {
                Ok(Written::Refused { found: failed.item, in_doubt })
            }
            Err(failed) => self.doubtful("DeleteItem", failed),
        }
    }

    /// Changes an item and returns its new values. It is retried for at most this long; with zero, it happens at most
    /// once.
    pub async fn update(
        &self,
        key: &ItemKey,
        update: Expression,
        condition: Option<&str>,
        patience: Duration,
    ) -> Result<Written, StorageError> {
        self.update_and_return(key, update, condition, patience, ReturnValue::UpdatedNew).await
    }

    /// The same, but returns the whole item.
    pub async fn update_whole(
        &self,
        key: &ItemKey,
        update: Expression,
        condition: &str,
    ) -> Result<Written, StorageError> {
        self.update_and_return(key, update, Some(condition), PATIENCE, ReturnValue::AllNew).await
    }

    async fn update_and_return(
        &self,
        key: &ItemKey,
        update: Expression,
        condition: Option<&str>,
        patience: Duration,
        returned: ReturnValue,
    ) -> Result<Written, StorageError> {
        let request = self
            .client()?
            .update_item()
            .table_name(self.table())
            .set_key(Some(key.item()))
            .update_expression(update.text)
            .set_expression_attribute_values(Some(update.values).filter(|values| !values.is_empty()))
            .set_condition_expression(condition.map(str::to_owned))
            .return_values(returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match self.call("UpdateItem", patience, never, || request.clone().send()).await {
            Ok(answer) => {
                self.counter().note_write(Api::units(answer.consumed_capacity()));
                Ok(Written::Done(answer.attributes))
            }
            Err(Failed::Refused { error: UpdateItemError::ConditionalCheckFailedException(failed), in_doubt }) => {
                Ok(Written::Refused { found: failed.item, in_doubt })
            }
            Err(failed) => self.doubtful("UpdateItem", failed),
        }
    }

    fn doubtful<E: ProvideErrorMetadata>(&self, name: &str, failed: Failed<E>) -> Result<Written, StorageError> {
        match failed {
            Failed::Lost { in_doubt: true, .. } => Ok(Written::Unknown),
            failed => Err(self.failed(name)(failed)),
        }
    }

    /// Makes a transaction, which is identified by the token.
    pub async fn transact(
        &self,
        items: Vec<TransactWriteItem>,
        token: String,
        patience: Duration,
    ) -> Result<Transacted, StorageError> {
        let request = self
            .client()?
            .transact_write_items()
            .set_transact_items(Some(items))
            .client_request_token(token)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match self.call("TransactWriteItems", patience, is_canceled_for_now, || request.clone().send()).await {
            Ok(answer) => {
                self.note_writes(answer.consumed_capacity());
                Ok(Transacted::Done)
            }
            Err(Failed::Refused {
                error: TransactWriteItemsError::TransactionCanceledException(canceled),
                in_doubt,
            }) => {
                let reasons = canceled.cancellation_reasons().iter().enumerate();
                let failed: Vec<usize> = reasons
                    .filter(|(_, reason)| reason.code() == Some("ConditionalCheckFailed"))
                    .map(|(index, _)| index)
                    .collect();
                if failed.is_empty() {
                    let text = format!("TransactWriteItems on table `{}` was canceled: {canceled}", self.table());
                    return Err(StorageError::Permanent(text));
                }
                Ok(Transacted::Refused { failed, in_doubt })
            }
            Err(Failed::Lost { in_doubt: true, .. }) => Ok(Transacted::Unknown),
            Err(failed) => Err(self.failed("TransactWriteItems")(failed)),
        }
    }

    /// Writes these, each by itself.
    pub async fn put_all(&self, items: Vec<Item>) -> Result<(), StorageError> {
        let request = |item| PutRequest::builder().set_item(Some(item)).build();
        let writes = items.into_iter().map(|item| {
            let size = super::item::size_of(&item);
            Ok((WriteRequest::builder().put_request(request(item).map_err(mistake)?).build(), size))
        });
        self.write_all(writes.collect::<Result<_, StorageError>>()?).await
    }

    /// Deletes these, each by itself.
    pub async fn delete_all(&self, keys: Vec<ItemKey>) -> Result<(), StorageError> {
        let request = |key: ItemKey| DeleteRequest::builder().set_key(Some(key.item())).build();
        let writes = keys
            .into_iter()
            .map(|key| Ok((WriteRequest::builder().delete_request(request(key).map_err(mistake)?).build(), 0)));
        self.write_all(writes.collect::<Result<_, StorageError>>()?).await
    }

    async fn write_all(&self, writes: Vec<(WriteRequest, usize)>) -> Result<(), StorageError> {
        let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (write, size) in writes {
            if batch.len() == WRITES_MAX || bytes + size > WRITE_BYTES_MAX && !batch.is_empty() {
                batches.push(std::mem::take(&mut batch));
                bytes = 0;
            }
            bytes += size;
            batch.push(write);
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
        let write = |batch| {
            let api = self.clone();
            async move { api.write_some(batch).await }
        };
        Api::all(batches.into_iter().map(write)).await.map(drop)
    }

    async fn write_some(&self, mut left: Vec<WriteRequest>) -> Result<(), StorageError> {
        for round in 0..ROUNDS_MAX {
            pause_before(round).await;
            let request = self
                .client()?
                .batch_write_item()
                .request_items(self.table(), left)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let answer = self.call("BatchWriteItem", PATIENCE, never, || request.clone().send()).await;
            let answer = answer.map_err(self.failed("BatchWriteItem"))?;
            self.note_writes(answer.consumed_capacity());
            left = answer.unprocessed_items.into_iter().flatten().flat_map(|(_, left)| left).collect();
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(StorageError::Transient(format!("BatchWriteItem on table `{}` leaves items over each time", self.table())))
    }
}

pub(super) fn mistake(error: impl std::fmt::Display) -> StorageError {
    StorageError::Permanent(error.to_string())
}

/// The unprocessed rest of a batch was throttled.
async fn pause_before(round: u32) {
    if round > 0 {
        let most = 10 << round.min(6);
        tokio::time::sleep(Duration::from_millis(crate::surroundings::random() % most)).await;
    }
}
