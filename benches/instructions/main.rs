//! How many instructions the steps of a connection and of a request take.
//!
//! ```sh
//! cargo bench              # all, as one table (needs valgrind: apt-get install valgrind)
//! cargo bench -- pool      # those whose name holds this word
//! ```
//!
//! Instructions are counted by valgrind and not timed, so that the figures are the same on a busy
//! machine and on an idle one: two commits can be compared on a laptop. They say nothing of caches,
//! system calls or waiting; for those there is `loadtest/`. Nor of other threads: of the log, what a
//! worker does is counted, and not what the writer does with whole buffers. A change of a per cent may be the seed of
//! a hash table.
//!
//! A bench is one call of [`harness::Bench::measure`] in one of the files beside this one.

mod connection;
mod fixture;
mod harness;
mod hpack;
mod policy;
mod pool;
mod request;

use std::process::ExitCode;

use crate::harness::Bench;

fn main() -> ExitCode {
    harness::main(|bench: &mut Bench| {
        connection::all(bench);
        request::all(bench);
        hpack::all(bench);
        policy::all(bench);
        pool::all(bench);
    })
}
