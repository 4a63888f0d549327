//! The locations of the portable data stack's values while register code runs.
//!
//! Layouts are linked lists that share their tails, because each differs from the previous one by a few pushes.

use super::operation::Register;

/// A layout; `EMPTY` is the empty stack.
pub(crate) type LayoutId = u32;

/// The layout of the empty stack.
pub(crate) const EMPTY: LayoutId = u32::MAX;

/// The location of a value of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this register.
    Register(Register),
    /// A constant of the code.
    Constant(u32),
}

/// All layouts of a function's code.
#[derive(Debug, Default)]
pub(crate) struct StackLayouts {
    nodes: Vec<(Place, LayoutId)>,
}

impl StackLayouts {
    /// The layout with another value on top.
    pub fn push(&mut self, below: LayoutId, place: Place) -> LayoutId {
        self.nodes.push((place, below));
        (self.nodes.len() - 1) as LayoutId
    }

    /// Changes the location of this layout's topmost value, also in all layouts above it.
    pub fn move_top(&mut self, layout: LayoutId, place: Place) {
        self.nodes[layout as usize].0 = place;
    }

    /// The locations of all values, the lowest first.
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
