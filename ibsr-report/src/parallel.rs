// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same work on many items, on a few threads, with the results in the order of the
//! items: how many threads there are cannot be seen in a result.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// `work` on every item. A panic in it is passed on.
pub fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let take = || {
        while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&n| n < items.len())
        {
            let result = work(&items[at]);
            *results[at].lock().expect("one thread writes one result") = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(take);
        }
        take();
    });
    results
        .into_iter()
        .map(|result| result.into_inner().expect("a panic has been passed on"))
        .map(|result| result.expect("every item was taken"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        for threads in [1, 2, 7] {
            assert_eq!(map(&items, threads, |n| n * 2)[999], 1998);
            assert!(map(&items, threads, |n| *n).is_sorted());
        }
        assert!(map(&[], 4, |n: &u32| *n).is_empty());
    }
}
