//! The pools served by each server of a simulated world, if threads are leased and the program names pools.

use std::collections::BTreeSet;

use hark_bytecode::{Attributes, Executable};

use super::universe::Universe;
use super::world::{Health, Number, World};
use crate::foreign::Call;
use crate::place::{Place, Pool, Pools};
use crate::record::Key;

/// The pools that a program names, and the default one. Empty if it names none.
fn pools_of(executable: &Executable) -> BTreeSet<Pool> {
    let of = |attributes: &Attributes| attributes.pool.as_ref().and_then(|pool| pool.parse().ok());
    let functions = executable.functions.iter().filter_map(|function| of(&function.attributes));
    let imports = executable.foreign.iter().filter_map(|import| of(&import.attributes));
    let mut pools: BTreeSet<Pool> = functions.chain(imports).collect();
    if !pools.is_empty() {
        pools.insert(Pool::default());
    }
    pools
}

impl Universe {
    /// The pools of a new server: a random subset of the program's. Once disturbances have ended, it includes all pools
    /// that no other server serves.
    pub(super) fn pools_of_new_server(&self) -> Pools {
        let all = pools_of(&self.scenario().executable);
        if all.is_empty() || !self.world().disk.is_leased {
            return Pools::All;
        }
        let mut world = self.world();
        let is_calm = world.is_calm();
        let pools = all.iter().filter(|pool| world.chance.per_mille(500) || is_calm && !world.serves_pool(pool));
        pools.cloned().collect()
    }

    /// Whether the program names a pool that no server serves.
    pub(super) fn lacks_pool(&self) -> bool {
        let world = self.world();
        world.disk.is_leased && pools_of(&self.scenario().executable).iter().any(|pool| !world.serves_pool(pool))
    }
}

impl World {
    fn serves_pool(&self, pool: &Pool) -> bool {
        let place = Place::new(pool.clone(), None);
        let mut alive = self.processes.values().filter(|process| process.serves && process.health == Health::Alive);
        alive.any(|process| process.pools.serve(&place))
    }

    /// Checks that a call is made by a process that serves the place of the calling thread.
    pub(super) fn check_place_of(&mut self, by: Number, call: &Call) {
        // A process that was unresponsive for longer than its lease may make a call that another process has made since.
        if !self.disk.is_leased || !self.disk.awaits(&call.id, call.attempt) {
            return;
        }
        let Some(row) = self.disk.row(&call.id.session, &Key::Live(call.id.thread)) else { return };
        if self.processes.get(&by).is_some_and(|process| !process.pools.serve(&row.place)) {
            self.faults.push(format!("{by} makes a call in the place `{}`, which it does not serve", row.place));
        }
    }
}
