//! A table that cannot grow: at its bound whoever was touched longest ago makes room.

use std::collections::BTreeMap;

/// Values by key, at most `bound` of them.
#[derive(Clone, Debug)]
pub(crate) struct Recent<K, V> {
    bound: usize,
    touches: u64,
    items: BTreeMap<K, (u64, V)>,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    /// An empty table; a bound of 0 counts as 1.
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound: bound.max(1), touches: 0, items: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the next new one drives out another.
    pub(crate) fn is_full(&self) -> bool {
        self.items.len() >= self.bound
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.items.get(key).map(|(_, value)| value)
    }

    /// The value to change, made if it is not there; it becomes the newest.
    pub(crate) fn touch(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        if !self.items.contains_key(key) && self.items.len() >= self.bound {
            self.drop_oldest();
        }
        self.touches = self.touches.saturating_add(1);
        let touches = self.touches;
        let (touched, value) = self.items.entry(key.clone()).or_insert_with(|| (touches, make()));
        *touched = touches;
        value
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.items.remove(key);
    }

    /// Everything, oldest touch first, so that a table filled from it forgets in the same order.
    pub(crate) fn oldest_first(&self) -> Vec<(&K, &V)> {
        let mut all: Vec<_> = self.items.iter().collect();
        all.sort_by_key(|(_, (touched, _))| *touched);
        all.into_iter().map(|(key, (_, value))| (key, value)).collect()
    }

    fn drop_oldest(&mut self) {
        let oldest = self.items.iter().min_by_key(|(_, (touched, _))| *touched).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.items.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_bound_the_oldest_touch_goes() {
        let mut table = Recent::new(2);
        *table.touch(&1, || 'a') = 'a';
        *table.touch(&2, || 'b') = 'b';
        assert_eq!(*table.touch(&1, || 'x'), 'a');
        *table.touch(&3, || 'c') = 'c';
        assert_eq!((table.get(&1), table.get(&2), table.get(&3), table.len()), (Some(&'a'), None, Some(&'c'), 2));
        assert_eq!(table.oldest_first(), [(&1, &'a'), (&3, &'c')]);
        table.remove(&1);
        assert_eq!(table.len(), 1);
    }
}
