//! Merkle trees over leaf hashes: root, path and check.
//!
//! Pairs are hashed level by level; an odd last node moves up unchanged. Leaves and nodes are hashed under different
//! domain tags, and the root binds the number of leaves: no node can pass for a leaf, no tree for one of another size.

use crate::canonical::Encoder;
use crate::Breach;
use ainonymous_types::Bytes32;

/// Root over the leaves, in order; none without leaves.
pub fn root(leaves: &[Bytes32]) -> Option<Bytes32> {
    let mut peaks = Peaks::default();
    for leaf in leaves {
        peaks.push(*leaf);
    }
    peaks.root()
}

/// Sibling hashes from the leaf at `index` up to the root; none if there is no such leaf.
pub fn path(leaves: &[Bytes32], index: usize) -> Option<Vec<Bytes32>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut level, mut at, mut path) = (leaves.to_vec(), index, Vec::new());
    while level.len() > 1 {
        path.extend(level.get(at ^ 1));
        level = level.chunks(2).map(|pair| if let [l, r] = pair { node(l, r) } else { pair[0] }).collect();
        at /= 2;
    }
    Some(path)
}

/// Whether `path` leads from `leaf` at `index` to the `root` over `count` leaves.
pub fn verify_path(root: &Bytes32, leaf: &Bytes32, index: u64, count: u64, path: &[Bytes32]) -> Result<(), Breach> {
    if index >= count {
        return Err(Breach::ProofMismatch);
    }
    let (mut at, mut width, mut hash, mut siblings) = (index, count, *leaf, path.iter());
    while width > 1 {
        if at % 2 == 1 {
            hash = node(siblings.next().ok_or(Breach::ProofMismatch)?, &hash);
        } else if at + 1 < width {
            hash = node(&hash, siblings.next().ok_or(Breach::ProofMismatch)?);
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    if siblings.next().is_none() && seal(count, &hash) == *root {
        Ok(())
    } else {
        Err(Breach::ProofMismatch)
    }
}

/// The tree's right edge: one hash for each complete subtree, largest first. Grows leaf by leaf in logarithmic memory.
#[derive(Clone, Debug, Default)]
pub struct Peaks {
    peaks: Vec<Bytes32>,
    count: u64,
}

impl Peaks {
    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Bytes32) {
        let mut hash = leaf;
        // Each trailing one of the count is a complete subtree of the size that the new one has just reached.
        for _ in 0..self.count.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.count += 1;
    }

    /// Leaves so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Root over the leaves so far; none without leaves.
    pub fn root(&self) -> Option<Bytes32> {
        let top = self.peaks.iter().rev().copied().reduce(|right, left| node(&left, &right))?;
        Some(seal(self.count, &top))
    }
}

fn node(left: &Bytes32, right: &Bytes32) -> Bytes32 {
    Encoder::hash("ainonymous/node/v1").bytes32(left).bytes32(right).finish()
}

fn seal(count: u64, top: &Bytes32) -> Bytes32 {
    Encoder::hash("ainonymous/root/v1").u64(count).bytes32(top).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(n: usize) -> Vec<Bytes32> {
        (0..n).map(|i| Encoder::hash("test").u64(i as u64).finish()).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved() {
        for n in 1..=33 {
            let l = leaves(n);
            let r = root(&l).unwrap();
            for i in 0..n {
                let p = path(&l, i).unwrap();
                verify_path(&r, &l[i], i as u64, n as u64, &p).unwrap();
                assert!(verify_path(&r, &l[i], i as u64 + 1, n as u64, &p).is_err(), "{i} of {n}, other index");
                assert!(verify_path(&r, &l[i], i as u64, n as u64 + 1, &p).is_err(), "{i} of {n}, other count");
                let mut longer = p.clone();
                longer.push(Bytes32([0; 32]));
                assert!(verify_path(&r, &l[i], i as u64, n as u64, &longer).is_err());
            }
        }
        assert_eq!(root(&[]), None);
        assert_eq!(path(&leaves(3), 3), None);
    }

    #[test]
    fn an_inner_node_is_no_leaf() {
        let l = leaves(4);
        let r = root(&l).unwrap();
        let inner = node(&l[0], &l[1]);
        let sibling = node(&l[2], &l[3]);
        assert!(verify_path(&r, &inner, 0, 2, &[sibling]).is_err());
    }

    #[test]
    fn longest_batch_path_fits_its_limit() {
        use ainonymous_types::limits::{BATCH_RECEIPTS_MAX, MERKLE_PATH_MAX};
        let l = leaves(BATCH_RECEIPTS_MAX as usize);
        assert_eq!(path(&l, 0).unwrap().len(), MERKLE_PATH_MAX);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_false_is_proved(
            index in any::<u64>(), count in any::<u64>(), root in any::<[u8; 32]>(), leaf in any::<[u8; 32]>(),
            path in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        ) {
            let path: Vec<_> = path.into_iter().map(Bytes32).collect();
            prop_assert!(verify_path(&Bytes32(root), &Bytes32(leaf), index, count, &path).is_err());
        }
    }
}
