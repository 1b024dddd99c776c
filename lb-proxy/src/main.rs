//! The `lb` binary: parse, dispatch, exit code. Everything else is in the library
//! or in [`app`], which puts the parts together.

mod admin;
mod agent;
mod app;
mod cli;
mod control;
mod explain;
mod notify;
mod state;
mod traffic;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A proxy allocates little but often, on several threads, in a few sizes: heads,
/// buffers, futures. mimalloc keeps a heap per thread and frees blocks that
/// another thread allocated without a lock. glibc's allocator takes a lock per
/// arena instead and gives memory of a peak back late, which for a balancer means
/// a resident size that stays at the worst minute it has seen. Only the binary
/// chooses; embedders of the library keep their own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
