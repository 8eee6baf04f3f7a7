// SPDX-License-Identifier: MIT OR Apache-2.0
//! A row costs no memory: a sweep of a million must not make a million requests for some.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::{Bench, source, sweep};

/// The system's allocator; counts what each thread asks for.
struct Counting;

thread_local! {
    /// Of this thread: other tests run beside this one. Needs no memory and no destructor.
    pub(super) static REQUESTS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    REQUESTS.with(|requests| requests.set(requests.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of the same method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: as above; `old` came from the system's allocator.
        unsafe { System.realloc(old, layout, bytes) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Rows that fill the buffer several times, so that growing it, writing and hashing count.
const ROWS: u64 = 10_000;

/// Requests that the rows of one sweep make.
fn requests_of_rows(bench: &mut Bench, seq: u64) -> u64 {
    let row = source(seq, 7);
    bench.spool.begin_sweep(seq);
    let before = REQUESTS.get();
    for _row in 0..ROWS {
        bench.spool.source(&row);
    }
    let requests = REQUESTS.get() - before;
    bench.spool.end_sweep(&sweep(seq, 0, ROWS)).expect("room for the sweep");
    requests
}

#[test]
fn no_row_of_a_sweep_asks_for_memory() {
    let mut bench = Bench::new();
    // The first creates the segment, and its buffer grows to its final size.
    let first = requests_of_rows(&mut bench, 1);
    assert!(first < 100, "{first} requests");
    assert_eq!(requests_of_rows(&mut bench, 2), 0);
}
