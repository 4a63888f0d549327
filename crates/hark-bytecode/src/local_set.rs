//! Sets of a function's locals, for data-flow analyses of the portable code.
//!
//! A set is a persistent tree: versions share equal subtrees. A copy is free, a change copies a few nodes, and a union
//! visits only the differences. So the sets of all blocks of a function take memory proportional to what the blocks
//! change, not to blocks times locals.

use std::sync::Arc;

/// Words per leaf.
const WORDS: usize = 4;

/// Locals per leaf.
const LEAF: usize = WORDS * 64;

/// The number of children of an inner node, as a power of 2.
const FANOUT_BITS: u32 = 3;

const FANOUT: usize = 1 << FANOUT_BITS;

/// A set of small numbers.
#[derive(Debug, Clone, Default)]
pub struct LocalSet {
    root: Tree,
    /// The number of levels above the leaves. Equal in all sets that are combined with each other.
    levels: u32,
}

/// `None` is a subtree without members.
type Tree = Option<Arc<Node>>;

#[derive(Debug, Clone)]
enum Node {
    Leaf([u64; WORDS]),
    Inner([Tree; FANOUT]),
}

impl LocalSet {
    /// An empty set for locals numbered below `count`.
    pub fn empty(count: usize) -> LocalSet {
        let mut levels = 0;
        while LEAF << (FANOUT_BITS * levels) < count {
            levels += 1;
        }
        LocalSet { root: None, levels }
    }

    /// Whether a local is a member.
    pub fn contains(&self, local: u32) -> bool {
        let (mut tree, mut level) = (&self.root, self.levels);
        loop {
            match tree.as_deref() {
                None => return false,
                Some(Node::Leaf(words)) => return words[word(local)] & bit(local) != 0,
                Some(Node::Inner(children)) => tree = &children[child(local, level)],
            }
            level = level.saturating_sub(1);
        }
    }

    /// Adds a member.
    pub fn insert(&mut self, local: u32) {
        if self.contains(local) {
            return;
        }
        let (mut tree, mut level) = (&mut self.root, self.levels);
        loop {
            let empty = || Arc::new(if level == 0 { Node::Leaf([0; WORDS]) } else { Node::Inner(Default::default()) });
            match Arc::make_mut(tree.get_or_insert_with(empty)) {
                Node::Leaf(words) => {
                    words[word(local)] |= bit(local);
                    return;
                }
                Node::Inner(children) => tree = &mut children[child(local, level)],
            }
            level = level.saturating_sub(1);
        }
    }

    /// Removes a member; returns whether it was present.
    pub fn remove(&mut self, local: u32) -> bool {
        if !self.contains(local) {
            return false;
        }
        let (mut tree, mut level) = (&mut self.root, self.levels);
        while let Some(node) = tree {
            match Arc::make_mut(node) {
                Node::Leaf(words) => {
                    words[word(local)] &= !bit(local);
                    return true;
                }
                Node::Inner(children) => tree = &mut children[child(local, level)],
            }
            level = level.saturating_sub(1);
        }
        false
    }

    /// Adds the members of another set.
    pub fn unite(&mut self, other: &LocalSet) {
        self.root = united(&self.root, &other.root);
    }

    /// Removes the members that are not in the other set.
    pub fn intersect(&mut self, other: &LocalSet) {
        self.root = intersected(&self.root, &other.root);
    }

    /// The members, in order.
    pub fn members(&self) -> Vec<u32> {
        self.without(&LocalSet::default(), usize::MAX)
    }

    /// The members that are not in `other`, in order, limited to `most`.
    pub fn without(&self, other: &LocalSet, most: usize) -> Vec<u32> {
        let mut found = Vec::new();
        gather_difference(&self.root, &other.root, 0, self.levels, most, &mut found);
        found
    }
}

fn word(local: u32) -> usize {
    local as usize % LEAF / 64
}

fn bit(local: u32) -> u64 {
    1 << (local % 64)
}

/// The index of the child that contains a local, in a node this many levels above the leaves.
fn child(local: u32, level: u32) -> usize {
    (local as usize / LEAF) >> (FANOUT_BITS * level.saturating_sub(1)) & (FANOUT - 1)
}

fn is_same(left: &Tree, right: &Tree) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => Arc::ptr_eq(left, right),
        (left, right) => left.is_none() && right.is_none(),
    }
}

fn united(left: &Tree, right: &Tree) -> Tree {
    match (left, right) {
        (tree, None) | (None, tree) => tree.clone(),
        (Some(left), Some(right)) => Some(combined(left, right, |left, right| left | right, united)),
    }
}

fn intersected(left: &Tree, right: &Tree) -> Tree {
    match (left, right) {
        (_, None) | (None, _) => None,
        (Some(left), Some(right)) => Some(combined(left, right, |left, right| left & right, intersected)),
    }
}

/// Combines two nodes; returns one of them if it equals the result. Assumes `x op x = x`, so identical trees are not
/// visited.
fn combined(
    left: &Arc<Node>,
    right: &Arc<Node>,
    words: fn(u64, u64) -> u64,
    trees: fn(&Tree, &Tree) -> Tree,
) -> Arc<Node> {
    if Arc::ptr_eq(left, right) {
        return Arc::clone(left);
    }
    match (&**left, &**right) {
        (Node::Leaf(left_words), Node::Leaf(right_words)) => {
            let both: [u64; WORDS] = std::array::from_fn(|at| words(left_words[at], right_words[at]));
            match both {
                both if both == *left_words => Arc::clone(left),
                both if both == *right_words => Arc::clone(right),
                both => Arc::new(Node::Leaf(both)),
            }
        }
        (Node::Inner(left_trees), Node::Inner(right_trees)) => {
            let both: [Tree; FANOUT] = std::array::from_fn(|at| trees(&left_trees[at], &right_trees[at]));
            let are = |trees: &[Tree; FANOUT]| both.iter().zip(trees).all(|(both, tree)| is_same(both, tree));
            if are(left_trees) {
                Arc::clone(left)
            } else if are(right_trees) {
                Arc::clone(right)
            } else {
                Arc::new(Node::Inner(both))
            }
        }
        // Sets of one function have the same height.
        _ => Arc::clone(left),
    }
}

/// Collects the members of `left` that are not in `right`. `first` is the lowest number of the tree.
fn gather_difference(left: &Tree, right: &Tree, first: u32, level: u32, most: usize, found: &mut Vec<u32>) {
    if is_same(left, right) {
        return;
    }
    match (left.as_deref(), right.as_deref()) {
        (None, _) => {}
        (Some(Node::Leaf(words)), other) => {
            for (at, word) in words.iter().enumerate() {
                let theirs = if let Some(Node::Leaf(words)) = other { words[at] } else { 0 };
                let mut left = word & !theirs;
                while left != 0 && found.len() < most {
                    found.push(first + at as u32 * 64 + left.trailing_zeros());
                    left &= left - 1;
                }
            }
        }
        (Some(Node::Inner(children)), other) => {
            let width = (LEAF as u32) << (FANOUT_BITS * level.saturating_sub(1));
            for (at, tree) in children.iter().enumerate().filter(|(_, tree)| tree.is_some()) {
                let theirs = if let Some(Node::Inner(children)) = other { &children[at] } else { &None };
                if found.len() < most {
                    gather_difference(tree, theirs, first + at as u32 * width, level - 1, most, found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A pseudo-random generator.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % limit
        }
    }

    #[test]
    fn it_is_as_any_set() {
        for count in [1, 64, 256, 257, 2_048, 2_049, 100_000] {
            let mut random = Random(count as u64);
            let mut sets: Vec<(LocalSet, BTreeSet<u32>)> = vec![(LocalSet::empty(count), BTreeSet::new())];
            for _ in 0..400 {
                let (mut set, mut known) = sets[random.below(sets.len())].clone();
                let (other, other_known) = sets[random.below(sets.len())].clone();
                let local = random.below(count) as u32;
                match random.below(5) {
                    0 | 1 => {
                        (local..(local + 70).min(count as u32)).for_each(|local| set.insert(local));
                        known.extend(local..(local + 70).min(count as u32));
                    }
                    2 => assert_eq!(set.remove(local), known.remove(&local)),
                    3 => {
                        set.unite(&other);
                        known.extend(&other_known);
                    }
                    _ => {
                        set.intersect(&other);
                        known.retain(|local| other_known.contains(local));
                    }
                }
                assert_eq!(set.contains(local), known.contains(&local));
                assert!(set.members().iter().eq(&known), "{count}");
                let difference: Vec<u32> = known.difference(&other_known).copied().collect();
                assert_eq!(set.without(&other, usize::MAX), difference);
                assert_eq!(set.without(&other, 3), difference[..difference.len().min(3)]);
                if sets.len() < 20 {
                    sets.push((set, known));
                } else {
                    sets[random.below(20)] = (set, known);
                }
            }
        }
    }

    #[test]
    fn what_is_the_same_is_shared() {
        let mut set = LocalSet::empty(1 << 20);
        (0..1 << 20).step_by(3).for_each(|local| set.insert(local));
        let mut more = set.clone();
        more.insert(500_000);
        let mut both = set.clone();
        both.unite(&more);
        assert!(is_same(&both.root, &more.root));
        both.intersect(&set);
        assert!(is_same(&both.root, &set.root));
        assert_eq!(more.without(&set, usize::MAX), [500_000]);
    }
}
