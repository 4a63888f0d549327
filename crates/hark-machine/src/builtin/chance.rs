//! Random numbers and ids.

use crate::effect::Host;
use crate::value::Value;

/// A float from 0 up to but not including 1, made of 53 bits, the precision of a float.
pub(super) fn random(host: &mut impl Host) -> Value {
    Value::Float((host.random() >> 11) as f64 / (1_u64 << 53) as f64)
}

/// A random UUID (version 4, RFC 9562).
pub(super) fn uuid(host: &mut impl Host) -> Value {
    let (high, low) = (host.random(), host.random());
    let version = (high & 0x0fff) | 0x4000;
    let variant = (low >> 48 & 0x3fff) | 0x8000;
    let (high, low) = (high >> 16, low & 0xffff_ffff_ffff);
    Value::string(format!("{:08x}-{:04x}-{version:04x}-{variant:04x}-{low:012x}", high >> 16, high & 0xffff))
}
