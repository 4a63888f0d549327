//! The encoding of attributes: a bit set of those present, then each of them.

use super::{read_span, write_span};
use crate::wire::{Reader, WireError, Writer};
use crate::{Attributes, Limit, Rate, Retry, is_pool_name};

pub(super) fn write_attributes(writer: &mut Writer, attributes: &Attributes) {
    let Attributes { retry, timeout_seconds, limit, rate, priority, memory_megabytes, pool, kwargs } = attributes;
    let present = [
        retry.is_some(),
        timeout_seconds.is_some(),
        memory_megabytes.is_some(),
        pool.is_some(),
        *kwargs,
        limit.is_some(),
        rate.is_some(),
        priority.is_some(),
    ];
    writer.byte(present.iter().rev().fold(0, |bits, is_present| bits << 1 | u8::from(*is_present)));
    retry.iter().for_each(|retry| write_retry(writer, retry));
    timeout_seconds.iter().for_each(|&seconds| writer.float(seconds));
    memory_megabytes.iter().for_each(|&megabytes| writer.unsigned(megabytes.into()));
    pool.iter().for_each(|pool| writer.string(pool));
    if let Some(Limit { count, name, span }) = limit {
        writer.unsigned((*count).into());
        write_name(writer, name.as_deref());
        write_span(writer, span);
    }
    if let Some(Rate { count, per_seconds, name, span }) = rate {
        writer.unsigned((*count).into());
        writer.float(*per_seconds);
        write_name(writer, name.as_deref());
        write_span(writer, span);
    }
    priority.iter().for_each(|&priority| writer.signed(priority.into()));
}

pub(super) fn read_attributes(reader: &mut Reader<'_>) -> Result<Attributes, WireError> {
    let bits = reader.byte()?;
    let is_present = |index: u32| bits >> index & 1 == 1;
    Ok(Attributes {
        retry: is_present(0).then(|| read_retry(reader)).transpose()?,
        timeout_seconds: is_present(1).then(|| reader.float()).transpose()?,
        memory_megabytes: is_present(2).then(|| reader.unsigned32()).transpose()?,
        pool: is_present(3).then(|| read_pool(reader)).transpose()?,
        kwargs: is_present(4),
        limit: is_present(5).then(|| read_limit(reader)).transpose()?,
        rate: is_present(6).then(|| read_rate(reader)).transpose()?,
        priority: is_present(7).then(|| reader.signed32()).transpose()?,
    })
}

fn read_pool(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let pool = reader.string()?.to_owned();
    if is_pool_name(&pool) { Ok(pool) } else { Err(reader.invalid("the name of a pool")) }
}

fn read_limit(reader: &mut Reader<'_>) -> Result<Limit, WireError> {
    Ok(Limit { count: reader.unsigned32()?, name: read_name(reader)?, span: read_span(reader)? })
}

fn read_rate(reader: &mut Reader<'_>) -> Result<Rate, WireError> {
    let (count, per_seconds) = (reader.unsigned32()?, reader.float()?);
    Ok(Rate { count, per_seconds, name: read_name(reader)?, span: read_span(reader)? })
}

fn write_retry(writer: &mut Writer, retry: &Retry) {
    let Retry { attempts, backoff_seconds, factor, max_backoff_seconds, jitter, on, except, deadline_seconds } = retry;
    writer.unsigned((*attempts).into());
    [backoff_seconds, factor, max_backoff_seconds].into_iter().for_each(|number| writer.float(*number));
    writer.byte((*jitter).into());
    write_option(writer, on.as_ref(), |writer, on| write_names(writer, on));
    write_names(writer, except);
    write_option(writer, deadline_seconds.as_ref(), |writer, seconds| writer.float(*seconds));
}

fn read_retry(reader: &mut Reader<'_>) -> Result<Retry, WireError> {
    Ok(Retry {
        attempts: reader.unsigned32()?,
        backoff_seconds: reader.float()?,
        factor: reader.float()?,
        max_backoff_seconds: reader.float()?,
        jitter: read_flag(reader)?,
        on: read_option(reader, read_names)?,
        except: read_names(reader)?,
        deadline_seconds: read_option(reader, Reader::float)?,
    })
}

fn write_name(writer: &mut Writer, name: Option<&str>) {
    write_option(writer, name, |writer, name| writer.string(name));
}

fn read_name(reader: &mut Reader<'_>) -> Result<Option<String>, WireError> {
    read_option(reader, |reader| reader.string().map(str::to_owned))
}

fn write_names(writer: &mut Writer, names: &[String]) {
    writer.unsigned(names.len() as u64);
    names.iter().for_each(|name| writer.string(name));
}

fn read_names(reader: &mut Reader<'_>) -> Result<Vec<String>, WireError> {
    (0..reader.count()?).map(|_| reader.string().map(str::to_owned)).collect()
}

fn write_option<T>(writer: &mut Writer, value: Option<T>, write: impl Fn(&mut Writer, T)) {
    writer.byte(value.is_some().into());
    value.into_iter().for_each(|value| write(writer, value));
}

fn read_option<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, WireError>,
) -> Result<Option<T>, WireError> {
    read_flag(reader)?.then(|| read(reader)).transpose()
}

fn read_flag(reader: &mut Reader<'_>) -> Result<bool, WireError> {
    match reader.byte()? {
        flag @ (0 | 1) => Ok(flag == 1),
        _ => Err(reader.invalid("an attribute")),
    }
}
