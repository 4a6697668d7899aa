use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

use nextscale_core::Result;

/// An object's identity: its address and its type, because a struct and its first field share an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    address: usize,
    kind: TypeId,
}

impl Identity {
    pub(crate) fn of(object: &dyn Any) -> Self {
        Self { address: std::ptr::from_ref(object).cast::<()>() as usize, kind: object.type_id() }
    }
}

/// Values that are computed once per key.
#[derive(Debug)]
pub(crate) struct Memo<K, V> {
    values: RefCell<HashMap<K, V>>,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self { values: RefCell::default() }
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// The value of `key`, computed if it is new. `compute` may use this memo for other keys.
    pub(crate) fn get_or(&self, key: K, compute: impl FnOnce() -> Result<V>) -> Result<V> {
        if let Some(value) = self.values.borrow().get(&key) {
            return Ok(value.clone());
        }
        let value = compute()?;
        self.values.borrow_mut().insert(key, value.clone());
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_and_its_first_field_are_different_objects() {
        struct Wrapper(u8);
        let wrapper = Wrapper(1);
        assert_ne!(Identity::of(&wrapper), Identity::of(&wrapper.0));
        assert_eq!(Identity::of(&wrapper), Identity::of(&wrapper));
    }

    #[test]
    fn nested_requests_are_computed_once_each() {
        let memo = Memo::<u32, u32>::default();
        let calls = std::cell::Cell::new(0);
        let leaf = || {
            memo.get_or(0, || {
                calls.set(calls.get() + 1);
                Ok(7)
            })
        };
        let sum = memo.get_or(1, || Ok(leaf()? + leaf()?));
        assert_eq!((sum, calls.get()), (Ok(14), 1));
    }
}
