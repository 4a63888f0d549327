//! Values. They are immutable, but a value with a single owner may be changed in place, because the difference cannot
//! be observed.

use compact_str::CompactString;
use hark_bytecode::builtins::Builtin;
use hark_bytecode::{ForeignIndex, FunctionIndex, Literal, Operator};
use num_bigint::BigInt;
use triomphe::Arc;

use crate::closure::ClosureBody;
use crate::hash::HashBody;
use crate::list::{List, ListBody};
use crate::object::ObjectBody;
use crate::text::Text;

/// A value of the language, in 16 bytes.
///
/// The variants without a reference count come first, so that a single comparison of the tag tells whether a value can
/// be copied bitwise.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the types of `language.md`")]
pub enum Value {
    #[default]
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Function(FunctionIndex),
    Foreign(ForeignIndex),
    Builtin(Builtin),
    Operator(Operator),
    /// The Future of the thread with this number.
    Future(u64),
    /// A Future that is resolved from outside, by its id.
    Promise(Arc<String>),
    /// Invariant: does not fit `Integer`.
    BigInteger(Arc<BigInt>),
    String(Arc<Text>),
    /// The elements of the body from this index on. (The two fields are here and not in a type of their own so that the
    /// index shares the tag's eight bytes.)
    List(u32, Arc<ListBody>),
    Hash(Arc<HashBody>),
    /// A lambda with captured variables.
    Closure(Arc<ClosureBody>),
    /// A Python object without an equivalent in Hark.
    Object(Arc<ObjectBody>),
}

const _: () = assert!(std::mem::size_of::<Value>() == 16);

impl Value {
    /// A string value.
    pub fn string(text: impl Into<CompactString>) -> Value {
        Value::String(Arc::new(Text::new(text)))
    }

    /// A list value.
    pub fn list(items: Vec<Value>) -> Value {
        Value::List(0, Arc::new(ListBody::from_items(items)))
    }

    /// A Python object.
    pub fn object(body: ObjectBody) -> Value {
        Value::Object(Arc::new(body))
    }

    /// An integer of any size.
    pub fn big_integer(value: BigInt) -> Value {
        match i64::try_from(&value) {
            Ok(small) => Value::Integer(small),
            Err(_) => Value::BigInteger(Arc::new(value)),
        }
    }

    /// The list's elements, if it is a list.
    pub fn as_list(&self) -> Option<List<'_>> {
        match self {
            Value::List(start, body) => Some(List::new(*start, body)),
            _ => None,
        }
    }

    /// The string's text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The value as a condition: only `false` and `null` are falsy.
    #[inline(always)]
    pub fn is_truthy(&self) -> bool {
        !matches!(self, Value::Null | Value::Boolean(false))
    }

    /// Whether it is a list or a hash.
    #[inline]
    pub fn is_container(&self) -> bool {
        matches!(self, Value::List(..) | Value::Hash(_))
    }

    /// Whether it holds other values.
    #[inline]
    pub(crate) fn holds_values(&self) -> bool {
        matches!(self, Value::List(..) | Value::Hash(_) | Value::Closure(_))
    }

    /// Whether it is reference-counted, and so must not be copied bitwise.
    #[inline(always)]
    pub(crate) fn is_counted(&self) -> bool {
        matches!(
            self,
            Value::Promise(_)
                | Value::BigInteger(_)
                | Value::String(_)
                | Value::List(..)
                | Value::Hash(_)
                | Value::Closure(_)
                | Value::Object(_)
        )
    }

    /// The name of its type in error messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Boolean(_) => "boolean",
            Value::Integer(_) | Value::BigInteger(_) => "integer",
            Value::Float(_) => "float",
            Value::Function(_) | Value::Closure(_) | Value::Foreign(_) | Value::Builtin(_) | Value::Operator(_) => {
                "function"
            }
            Value::Future(_) | Value::Promise(_) => "future",
            Value::String(_) => "string",
            Value::List(..) => "list",
            Value::Hash(_) => "hash",
            Value::Object(_) => "object",
        }
    }
}

impl From<&Literal> for Value {
    fn from(literal: &Literal) -> Value {
        match literal {
            Literal::Null => Value::Null,
            Literal::Boolean(value) => Value::Boolean(*value),
            Literal::Integer(value) => Value::Integer(*value),
            Literal::BigInteger(value) => Value::big_integer(BigInt::clone(value)),
            Literal::Float(value) => Value::Float(*value),
            Literal::String(value) => Value::string(&**value),
            Literal::Function(index) => Value::Function(*index),
            Literal::Foreign(index) => Value::Foreign(*index),
        }
    }
}
