//! The encoding of values, in both directions. `python/_hark_values.py` is the other side and describes the format.
//!
//! Nothing here is recursive: nesting is limited only by memory.

mod decode;
mod encode;

pub use decode::{DecodeError, Reader, decode};
pub use encode::{Refused, check_arguments, encode_arguments, refused_arguments};

#[cfg(test)]
mod tests {
    use hark_machine::{HashBody, Key, ObjectBody, Pickle, Value};
    use num_bigint::BigInt;
    use triomphe::Arc;

    use super::{DecodeError, encode_arguments};

    /// `[[1, "ab", 1.5, 2^64], {"k": [null, true, false]}, <20 integers>, <20 floats>, <an object>]`, encoded.
    fn sample() -> Vec<u8> {
        let big = Value::big_integer(BigInt::from(u64::MAX) + 1);
        let first = Value::list(vec![Value::Integer(1), Value::string("ab"), Value::Float(1.5), big]);
        let mut entries = HashBody::default();
        let inner = Value::list(vec![Value::Null, Value::Boolean(true), Value::Boolean(false)]);
        entries.insert(Key::new(Value::string("k")).unwrap(), inner);
        let integers = Value::list((0..20).map(Value::Integer).collect());
        let floats = Value::list((0..20).map(|each| Value::Float(f64::from(each))).collect());
        let mut bytes = Vec::new();
        let object = Value::Object(object());
        let all = [first, Value::Hash(Arc::new(entries)), integers, floats, object];
        encode_arguments(&all, &mut bytes, &mut Vec::new()).unwrap();
        bytes
    }

    fn object() -> Arc<ObjectBody> {
        Arc::new(ObjectBody::new("set", Some("{1}"), std::sync::Arc::new(Pickle::new(vec![1, 2, 3]))))
    }

    fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
        super::decode(bytes, &[Value::Object(object())])
    }

    fn encoded_again(bytes: &[u8]) -> Vec<u8> {
        let value = decode(bytes).unwrap();
        let items: Vec<Value> = value.as_list().unwrap().iter().cloned().collect();
        let mut again = Vec::new();
        encode_arguments(&items, &mut again, &mut Vec::new()).unwrap();
        again
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        assert_eq!(encoded_again(&sample()), sample());
    }

    #[test]
    fn the_format_is_fixed() {
        let mut bytes = Vec::new();
        let arguments = [Value::Integer(-2), Value::string("é"), Value::Null, Value::Object(object())];
        let mut objects = Vec::new();
        encode_arguments(&arguments, &mut bytes, &mut objects).unwrap();
        assert_eq!(objects, [object()]);
        assert_eq!(bytes, b"l\x04\0\0\0i\xfe\xff\xff\xff\xff\xff\xff\xffs\x02\0\0\0\xc3\xa9NO\0\0\0\0");
    }

    #[test]
    fn what_ends_too_early_or_too_late_is_refused() {
        let whole = sample();
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "the first {end} bytes");
        }
        assert!(decode(&[&*whole, b"N"].concat()).is_err());
    }

    #[test]
    fn damaged_bytes_do_not_panic() {
        let whole = sample();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let _ = decode(&damaged);
            }
        }
    }
}
