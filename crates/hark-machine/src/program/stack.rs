//! Where the values of the portable data stack are while register code runs.
//!
//! Layouts are linked lists that share their lower parts, as each differs from the one before by a push or two.

use super::operation::Register;

/// A layout; `NONE` is the empty stack.
pub(crate) type LayoutId = u32;

/// The layout of the empty stack.
pub(crate) const EMPTY: LayoutId = u32::MAX;

/// Where one value of the stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this register.
    Register(Register),
    /// It is a constant of the code.
    Constant(u32),
}

/// All layouts of one function's code.
#[derive(Debug, Default)]
pub(crate) struct StackLayouts {
    nodes: Vec<(Place, LayoutId)>,
}

impl StackLayouts {
    /// The layout with one more value on top.
    pub fn push(&mut self, below: LayoutId, place: Place) -> LayoutId {
        self.nodes.push((place, below));
        (self.nodes.len() - 1) as LayoutId
    }

    /// Says that the topmost value of this layout is elsewhere, for this layout and all above it.
    pub fn move_top(&mut self, layout: LayoutId, place: Place) {
        self.nodes[layout as usize].0 = place;
    }

    /// The places of all values, the lowest first.
    pub fn places(&self, mut layout: LayoutId) -> Vec<Place> {
        let mut places = Vec::new();
        while layout != EMPTY {
            let (place, below) = self.nodes[layout as usize];
            places.push(place);
            layout = below;
        }
        places.reverse();
        places
    }
}
