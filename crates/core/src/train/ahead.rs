//! Batches that are prepared while the step before them runs.

use super::batch::Batch;
use super::plan::Planned;
use crate::{Error, Result};
use std::sync::mpsc::sync_channel;
use std::thread;

/// Batches that wait, besides the one that is being prepared.
const WAITING: usize = 2;

/// Gives `consume` the batches of `plan`, prepared in their order by a thread that runs ahead and ends with the consumer.
/// Inside a rayon pool, whose size is the number of threads that the caller allows, there is no other thread.
pub(super) fn ahead<T: Send, R>(
    plan: impl Iterator<Item = Planned> + Send,
    prepare: impl Fn(&Batch<'_>) -> Result<T> + Send,
    consume: impl FnOnce(&mut dyn Iterator<Item = (Planned, Result<T>)>) -> Result<R>,
) -> Result<R> {
    let mut batches = plan.map(move |planned| {
        let prepared = prepare(&planned.batch());
        (planned, prepared)
    });
    if rayon::current_thread_index().is_some() {
        return consume(&mut batches);
    }
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        let produce = move || {
            // when nobody receives any more, the training is over
            let _ = batches.all(|batch| sender.send(batch).is_ok());
        };
        let spawned = thread::Builder::new().name("batches".to_owned()).spawn_scoped(scope, produce);
        spawned.map_err(|e| Error::Backend(Box::new(e)))?;
        consume(&mut receiver.into_iter())
    })
}
