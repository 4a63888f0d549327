//! The order in which calls wait.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::Job;

/// The position of a call in the order: by priority, highest first, then by arrival.
pub type Rank = (Reverse<i32>, u64);

/// A job and its position in the line.
pub struct Placed {
    rank: Rank,
    /// The job.
    pub job: Box<Job>,
}

/// An entry of the line.
pub enum Waiting {
    Job(Box<Job>),
    Caller,
}

/// Calls in order. One of them can be removed without searching the others.
#[derive(Default)]
pub struct Line {
    by_rank: BTreeMap<Rank, Waiting>,
    /// The number of jobs among them.
    pub jobs: usize,
    /// The rank of the last try of each job's call. An earlier try is left to run, because a cancellation never refers
    /// to it.
    ranks: HashMap<String, Rank>,
    next: u64,
}

impl Placed {
    /// The position.
    pub fn rank(&self) -> Rank {
        self.rank
    }
}

impl Line {
    /// Adds a job.
    pub fn push_job(&mut self, job: Job) {
        let rank = self.rank(job.call.priority);
        self.put(Placed { rank, job: Box::new(job) });
    }

    /// Inserts a job at its position, where it may have been before.
    pub fn put(&mut self, Placed { rank, job }: Placed) {
        if self.ranks.get(&job.call.id).is_none_or(|other| other.1 < rank.1) {
            self.ranks.insert(job.call.id.clone(), rank);
        }
        self.by_rank.insert(rank, Waiting::Job(job));
        self.jobs += 1;
    }

    /// Adds a caller.
    pub fn push_caller(&mut self, priority: i32) -> Rank {
        let rank = self.rank(priority);
        self.by_rank.insert(rank, Waiting::Caller);
        rank
    }

    /// Removes a caller that no longer waits.
    pub fn remove_caller(&mut self, rank: Rank) {
        self.by_rank.remove(&rank);
    }

    fn rank(&mut self, priority: i32) -> Rank {
        self.next += 1;
        (Reverse(priority), self.next)
    }

    /// The first entry.
    pub fn first(&self) -> Option<(Rank, &Waiting)> {
        self.by_rank.first_key_value().map(|(rank, waiting)| (*rank, waiting))
    }

    /// Removes the first entry, if it is a matching job.
    pub fn pop_job(&mut self, is_meant: impl Fn(&Job) -> bool) -> Option<Placed> {
        match self.first()? {
            (rank, Waiting::Job(job)) if is_meant(job) => self.remove_job(rank),
            _ => None,
        }
    }

    fn remove_job(&mut self, rank: Rank) -> Option<Placed> {
        let Waiting::Job(job) = self.by_rank.remove(&rank)? else { return None };
        self.jobs -= 1;
        if self.ranks.get(&job.call.id) == Some(&rank) {
            self.ranks.remove(&job.call.id);
        }
        Some(Placed { rank, job })
    }

    /// Removes the job of the last try of a call.
    pub fn remove_call(&mut self, id: &str) -> Option<Job> {
        let rank = *self.ranks.get(id)?;
        self.remove_job(rank).map(|placed| *placed.job)
    }

    /// Removes all matching jobs.
    pub fn remove_jobs(&mut self, is_meant: impl Fn(&Job) -> bool) -> Vec<Job> {
        let meant = |waiting: &Waiting| matches!(waiting, Waiting::Job(job) if is_meant(job));
        let ranks: Vec<Rank> =
            self.by_rank.iter().filter(|(_, waiting)| meant(waiting)).map(|(rank, _)| *rank).collect();
        ranks.into_iter().filter_map(|rank| self.remove_job(rank)).map(|placed| *placed.job).collect()
    }

    /// The number of waiting calls.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_rank.len()
    }
}
