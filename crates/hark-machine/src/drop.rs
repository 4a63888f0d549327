//! Frees nested values without native recursion: dropping a list nested a million deep must not overflow the native
//! stack.

use triomphe::Arc;

use crate::closure::ClosureBody;
use crate::hash::HashBody;
use crate::list::ListBody;
use crate::value::Value;

impl Drop for ListBody {
    fn drop(&mut self) {
        let mut open = Vec::new();
        self.take_containers(&mut open);
        free(open);
    }
}

impl Drop for HashBody {
    fn drop(&mut self) {
        let mut open = Vec::new();
        self.take_containers(&mut open);
        free(open);
    }
}

impl Drop for ClosureBody {
    fn drop(&mut self) {
        let mut open = Vec::new();
        self.take_containers(&mut open);
        free(open);
    }
}

/// Empties each container before it is dropped, so that its own drop finds nothing to do.
fn free(mut open: Vec<Value>) {
    while let Some(mut value) = open.pop() {
        match &mut value {
            Value::List(_, body) => {
                if let Some(body) = Arc::get_mut(body) {
                    body.take_containers(&mut open);
                }
            }
            Value::Hash(body) => {
                if let Some(body) = Arc::get_mut(body) {
                    body.take_containers(&mut open);
                }
            }
            Value::Closure(body) => {
                if let Some(body) = Arc::get_mut(body) {
                    body.take_containers(&mut open);
                }
            }
            _ => {}
        }
    }
}
