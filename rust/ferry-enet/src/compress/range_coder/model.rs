//! What has followed what in the datagram so far, counted in weights.
//!
//! A node is a byte that was seen after certain other bytes, and at the same time the context that ends with this
//! byte: "b after a" counts how often b followed a, and holds what in turn followed ab. Node 0 is the context of
//! no bytes. A context keeps its followers in a binary search tree, ordered by byte and never rebalanced; each
//! node there knows the weight of itself and of all smaller bytes beneath it, so one walk down tells where the
//! share of a byte begins, or which byte owns a unit. A context's units are first its escape's, then those of
//! each follower, by byte. In the empty context, each byte has one unit that it need not earn, seen or not.
//!
//! `shorter` leads from a context to the one without its first byte ("b after a" to "b"). Learning a byte in each
//! context from the longest to the shortest links its nodes in that order; the first of them starts the next
//! byte's chain, or, if it is too long for a context already, the one that it leads to. Nodes come from a pool
//! and are never given back: when it may not suffice for one more byte, both sides start afresh amid the data.

/// The context of no bytes: the last one that is asked, and the only one that gives every byte a share.
pub(super) const EMPTY_CONTEXT: u16 = 0;

/// In `smaller`, `larger` and `followers`: nothing there. The empty context follows nothing, so 0 is free.
const NONE: u16 = 0;

/// Contexts are at most this many bytes long.
const LONGEST: u8 = 2;

const POOL: usize = 4096;

/// With as many nodes taken, one more byte (a node for each context from [`LONGEST`] down) might not fit.
const POOL_FULL: u16 = POOL as u16 - LONGEST as u16;

/// A context whose weights sum up to more than this has them halved, lest they outgrow 16 bits.
const HEAVIEST: u16 = u16::MAX - 0xFF;

/// What the empty context and all others differ in.
struct Rules {
    /// What a byte's weight grows by when it is seen.
    step: u8,
    /// The weight that each byte has unearned.
    floor: u16,
    /// What a context's escape grows by when a byte follows that never did before.
    escape_step: u16,
    /// If a byte had a share greater than this when it was seen, its context has the weights halved.
    heaviest_share: u16,
}

const EMPTY_RULES: Rules = Rules { step: 3, floor: 1, escape_step: 0, heaviest_share: 250 };
const RULES: Rules = Rules { step: 2, floor: 0, escape_step: 5, heaviest_share: 251 };

/// The escape of the empty context: the end of the data.
const END_WEIGHT: u16 = 1;

#[derive(Clone, Copy, Default)]
struct Node {
    // As a follower of its context.
    byte: u8,
    weight: u8,
    /// Its own weight and that of the subtree at `smaller`.
    weight_up_to: u16,
    smaller: u16,
    larger: u16,

    // As a context.
    /// Root of the tree of followers.
    followers: u16,
    escape: u16,
    total: u16,
    /// In the empty context, which has none: the longest context of the byte to come.
    shorter: u16,
}

/// The share of a byte in a context as it was before the context learned the byte.
pub(super) struct Share {
    pub(super) escape: u16,
    /// The weight of all smaller bytes.
    pub(super) below: u16,
    /// 0 if the context has never seen the byte.
    pub(super) weight: u16,
    pub(super) total: u16,
}

/// The byte that owns a unit of a context.
pub(super) struct Located {
    pub(super) byte: u8,
    pub(super) node: u16,
    pub(super) below: u16,
    pub(super) weight: u16,
}

/// The nodes of one datagram.
///
/// What asks and learns is written once for all contexts, but compiled twice: `inline(always)` lets the
/// [`Rules`] be constants in each copy.
pub(super) struct Model {
    nodes: [Node; POOL],
    taken: u16,
    /// The length of the longest context.
    order: u8,
    /// The node whose `shorter` is to be the next one that learns.
    link_from: u16,
    /// The way back up in [`halve_followers`](Self::halve_followers).
    unfinished: Vec<u16>,
}

impl Default for Model {
    fn default() -> Self {
        let nodes = [Node::default(); POOL];
        let mut model =
            Self { nodes, taken: 0, order: 0, link_from: 0, unfinished: Vec::with_capacity(POOL) };
        model.restart();
        model
    }
}

impl Model {
    /// Forgets everything. Nodes that are not taken keep what they held: taking one overwrites it.
    pub(super) fn restart(&mut self) {
        self.taken = 0;
        let empty = self.take_node(0, 0);
        let total = END_WEIGHT + 256 * EMPTY_RULES.floor;
        *self.at(empty) = Node { escape: END_WEIGHT, total, shorter: EMPTY_CONTEXT, ..Node::default() };
        self.order = 0;
        self.link_from = EMPTY_CONTEXT;
    }

    /// The first context to ask about the next byte.
    #[inline]
    pub(super) fn longest_context(&self) -> u16 {
        self.node(EMPTY_CONTEXT).shorter
    }

    /// The context to ask after `context`, which must not be the empty one.
    #[inline]
    pub(super) fn shorter(&self, context: u16) -> u16 {
        self.node(context).shorter
    }

    /// The units of the escape, 0 in a context without followers, and of everything.
    #[inline]
    pub(super) fn escape_and_total(&self, context: u16) -> (u16, u16) {
        let context = self.node(context);
        (context.escape, context.total)
    }

    /// Counts that `byte` followed `context`, links its node, and returns the share that the byte had before.
    #[inline]
    pub(super) fn learn(&mut self, context: u16, byte: u8) -> Share {
        match context {
            EMPTY_CONTEXT => self.learn_by(&EMPTY_RULES, context, byte),
            _ => self.learn_by(&RULES, context, byte),
        }
    }

    #[inline(always)]
    fn learn_by(&mut self, rules: &Rules, context: u16, byte: u8) -> Share {
        let Node { escape, total, .. } = *self.node(context);
        let (node, below, weight) = self.count(context, byte, rules);
        self.link(node);
        if weight == 0 {
            let context = self.at(context);
            context.escape = context.escape.wrapping_add(rules.escape_step);
            context.total = context.total.wrapping_add(rules.escape_step);
        }
        self.grow_total(context, weight, rules);
        Share { escape, below, weight, total }
    }

    /// Finds the byte that owns the unit `point` of `context`, not counting the escape's, and counts that it
    /// followed. `None` means that no byte does. The caller links the node, after those of longer contexts.
    #[inline(always)]
    pub(super) fn locate(&mut self, context: u16, point: u16) -> Option<Located> {
        match context {
            EMPTY_CONTEXT => self.locate_by(&EMPTY_RULES, context, point),
            _ => self.locate_by(&RULES, context, point),
        }
    }

    #[inline(always)]
    fn locate_by(&mut self, rules: &Rules, context: u16, point: u16) -> Option<Located> {
        let located = self.count_owner(context, point, rules)?;
        self.grow_total(context, located.weight, rules);
        Some(located)
    }

    /// Makes `node` the next in the chain of contexts for the byte to come.
    #[inline]
    pub(super) fn link(&mut self, node: u16) {
        self.at(self.link_from).shorter = node;
        self.link_from = node;
    }

    /// Moves on to the next byte, once all contexts have learned this one.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.link_from = EMPTY_CONTEXT;
        if self.order < LONGEST {
            self.order += 1;
        } else {
            let longest = self.longest_context();
            self.at(EMPTY_CONTEXT).shorter = self.shorter(longest);
        }
        if self.taken >= POOL_FULL {
            self.restart();
        }
    }

    /// Returns the byte's node, and where its share began and how great it was.
    #[inline(always)]
    fn count(&mut self, context: u16, byte: u8, rules: &Rules) -> (u16, u16, u16) {
        let mut below = u16::from(byte) * rules.floor;
        let mut parent = context;
        let mut place = Place::Followers;
        let mut next = self.node(context).followers;
        while next != NONE {
            parent = next;
            let node = self.at(parent);
            if byte < node.byte {
                node.weight_up_to = node.weight_up_to.wrapping_add(rules.step.into());
                place = Place::Smaller;
                next = node.smaller;
            } else if byte > node.byte {
                below = below.wrapping_add(node.weight_up_to);
                place = Place::Larger;
                next = node.larger;
            } else {
                let weight = u16::from(node.weight);
                below = below.wrapping_add(node.weight_up_to).wrapping_sub(weight);
                node.add(rules.step);
                return (parent, below, rules.floor + weight);
            }
        }
        (self.insert(parent, place, byte, rules.step), below, rules.floor)
    }

    /// The mirror image of [`count`](Self::count): from the unit to the byte.
    ///
    /// Garbage points past the end of the context. C's integers decide what happens then, as they do here: sums
    /// are cut to 16 bits when they are stored, but differences of such sums are signed and compared as such.
    #[inline(always)]
    fn count_owner(&mut self, context: u16, point: u16, rules: &Rules) -> Option<Located> {
        let mut below: u16 = 0;
        let mut parent = context;
        let mut gap = (Place::Followers, point as u8);
        let mut next = self.node(context).followers;
        while next != NONE {
            parent = next;
            let node = self.at(parent);
            let weight = rules.floor + u16::from(node.weight);
            let unearned = (u16::from(node.byte) + 1) * rules.floor;
            let end = below.wrapping_add(node.weight_up_to).wrapping_add(unearned);
            let start = i32::from(end) - i32::from(weight);
            if point >= end {
                below = below.wrapping_add(node.weight_up_to);
                gap = (Place::Larger, node.byte.wrapping_add(1).wrapping_add((point - end) as u8));
                next = node.larger;
            } else if i32::from(point) < start {
                node.weight_up_to = node.weight_up_to.wrapping_add(rules.step.into());
                gap = (Place::Smaller, node.byte.wrapping_sub((start - i32::from(point)) as u8));
                next = node.smaller;
            } else {
                node.add(rules.step);
                return Some(Located { byte: node.byte, node: parent, below: start as u16, weight });
            }
        }
        if rules.floor == 0 {
            return None;
        }
        // Bytes that the empty context has not seen own one unit each.
        let (place, byte) = gap;
        let node = self.insert(parent, place, byte, rules.step);
        Some(Located { byte, node, below: point, weight: rules.floor })
    }

    /// Ends the learning of a byte that had a share of `weight`.
    #[inline(always)]
    fn grow_total(&mut self, context: u16, weight: u16, rules: &Rules) {
        let node = self.at(context);
        node.total = node.total.wrapping_add(rules.step.into());
        if weight > rules.heaviest_share || node.total > HEAVIEST {
            self.halve(context, rules);
        }
    }

    /// Halves all weights of a context, rounding up: what is new counts for more than what is old.
    #[cold]
    fn halve(&mut self, context: u16, rules: &Rules) {
        let followers = self.halve_followers(self.node(context).followers);
        let node = self.at(context);
        node.escape -= node.escape / 2;
        node.total = followers.wrapping_add(node.escape).wrapping_add(256 * rules.floor);
    }

    /// Halves the weights in a tree that is not empty and returns their sum.
    ///
    /// Garbage can grow trees as deep as the pool, hence no recursion.
    fn halve_followers(&mut self, root: u16) -> u16 {
        self.unfinished.clear();
        let mut sum: u16 = 0;
        let mut next = root;
        loop {
            // Down to the smallest byte; a node keeps the sum of what is left of its subtree meanwhile.
            while next != NONE {
                let node = self.at(next);
                node.weight -= node.weight / 2;
                node.weight_up_to = sum;
                let smaller = node.smaller;
                self.unfinished.push(next);
                next = smaller;
            }
            let Some(finished) = self.unfinished.pop() else { return sum };
            let node = self.at(finished);
            sum = sum.wrapping_add(node.weight.into());
            node.weight_up_to = sum.wrapping_sub(node.weight_up_to);
            next = node.larger;
        }
    }

    #[inline]
    fn insert(&mut self, parent: u16, place: Place, byte: u8, weight: u8) -> u16 {
        let new = self.take_node(byte, weight);
        let parent = self.at(parent);
        match place {
            Place::Followers => parent.followers = new,
            Place::Smaller => parent.smaller = new,
            Place::Larger => parent.larger = new,
        }
        new
    }

    /// [`advance`](Self::advance) sees to it that there is one left.
    #[inline]
    fn take_node(&mut self, byte: u8, weight: u8) -> u16 {
        let taken = self.taken;
        debug_assert!(usize::from(taken) < POOL, "a byte takes no more nodes than the pool kept for it");
        self.taken = taken + 1;
        *self.at(taken) = Node { byte, weight, weight_up_to: weight.into(), ..Node::default() };
        taken
    }

    // Indices never reach the pool's size; the remainder is cheaper than a check that would have to panic.

    #[inline]
    fn node(&self, index: u16) -> &Node {
        &self.nodes[usize::from(index) % POOL]
    }

    #[inline]
    fn at(&mut self, index: u16) -> &mut Node {
        &mut self.nodes[usize::from(index) % POOL]
    }
}

impl Node {
    #[inline]
    fn add(&mut self, step: u8) {
        self.weight = self.weight.wrapping_add(step);
        self.weight_up_to = self.weight_up_to.wrapping_add(step.into());
    }
}

/// Where a node hangs on its parent.
#[derive(Clone, Copy)]
enum Place {
    Followers,
    Smaller,
    Larger,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the weight of the tree, having checked each sum and the order of the bytes in it.
    fn check_tree(model: &Model, root: u16, bytes: std::ops::Range<u16>) -> u16 {
        if root == NONE {
            return 0;
        }
        let node = model.node(root);
        let byte = u16::from(node.byte);
        assert!(node.weight > 0 && bytes.contains(&byte));
        let smaller = check_tree(model, node.smaller, bytes.start..byte);
        assert_eq!(node.weight_up_to, smaller + u16::from(node.weight));
        node.weight_up_to + check_tree(model, node.larger, byte + 1..bytes.end)
    }

    fn check(model: &Model) {
        for index in 0..model.taken {
            let context = model.node(index);
            let unearned = if index == EMPTY_CONTEXT { 256 } else { 0 };
            let followers = check_tree(model, context.followers, 0..256);
            assert_eq!(context.total, context.escape + followers + unearned);
        }
    }

    fn feed(model: &mut Model, byte: u8) {
        let mut context = model.longest_context();
        while model.learn(context, byte).weight == 0 {
            context = model.shorter(context);
        }
        model.advance();
    }

    #[test]
    fn sums_stay_true_while_weights_are_halved_and_the_pool_runs_out() {
        let mut model = Model::default();
        for step in 0..20_000_u32 {
            let byte = match step / 1000 % 4 {
                0 => 0,
                1 => 255 - (step % 256) as u8,
                2 => (step.wrapping_mul(2_654_435_761) >> 24) as u8,
                _ => (step.wrapping_mul(2_654_435_761) >> 30) as u8,
            };
            feed(&mut model, byte);
            if step % 50 == 0 {
                check(&model);
            }
        }
    }

    #[test]
    fn shares_of_all_bytes_fill_the_empty_context_without_gap_or_overlap() {
        let mut model = Model::default();
        for byte in [128, 3, 200, 3, 255, 0, 3, 127, 129] {
            model.learn(EMPTY_CONTEXT, byte);
        }
        let (escape, total) = model.escape_and_total(EMPTY_CONTEXT);
        let mut next = 0;
        for byte in 0..=255 {
            // Each question changes the model, so each is asked of a new one.
            let mut copy = Model { nodes: model.nodes, taken: model.taken, ..Model::default() };
            let share = copy.learn(EMPTY_CONTEXT, byte);
            assert_eq!(share.below, next, "{byte}");
            next += share.weight;

            for point in share.below..next {
                let mut copy = Model { nodes: model.nodes, taken: model.taken, ..Model::default() };
                let located = copy.locate(EMPTY_CONTEXT, point).expect("every unit has an owner");
                assert_eq!(located.byte, byte);
                let first = if share.weight == 1 { point } else { share.below };
                assert_eq!((located.below, located.weight), (first, share.weight), "{byte}");
            }
        }
        assert_eq!(escape + next, total);
    }

    #[test]
    fn a_unit_that_no_byte_owns_is_not_located_after_other_bytes() {
        let mut model = Model::default();
        feed(&mut model, 1);
        feed(&mut model, 2);
        let context = model.node(EMPTY_CONTEXT).followers;
        assert_eq!(model.locate(context, 1).map(|located| located.byte), Some(2));
        assert!(model.locate(context, 100).is_none());
        assert!(model.locate(context, u16::MAX).is_none());
    }

    #[test]
    fn a_tree_as_deep_as_the_pool_is_halved_without_recursion() {
        let mut model = Model::default();
        let capacity = model.unfinished.capacity();
        let mut parent = EMPTY_CONTEXT;
        let mut place = Place::Followers;
        for _ in 1..POOL {
            parent = model.insert(parent, place, 7, 2);
            place = Place::Smaller;
        }
        let root = model.node(EMPTY_CONTEXT).followers;
        assert_eq!(usize::from(model.halve_followers(root)), POOL - 1);
        assert_eq!(usize::from(model.node(root).weight_up_to), POOL - 1);
        assert_eq!(model.unfinished.capacity(), capacity, "halving allocates nothing");
    }
}
