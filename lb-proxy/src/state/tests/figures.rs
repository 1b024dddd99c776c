//! How fast changes are written. Not a test; prints figures:
//! `cargo test -p lb-proxy --bin lb --release -- --ignored --nocapture figures`.

use std::time::Instant;

use super::{configured, open, weight};

#[test]
#[ignore = "prints figures"]
fn figures() {
    let folder = tempfile::tempdir().unwrap();
    for batch in [1_usize, 10, 100, 1000] {
        let mut store = open(&folder.path().join(format!("{batch}.db")));
        let changes: Vec<_> = (0..batch).map(|_| weight(configured(1), 3)).collect();
        let start = Instant::now();
        for _ in 0..10_000 / batch {
            store.record(&changes).unwrap();
        }
        let rate = 10_000.0 / start.elapsed().as_secs_f64();
        println!("{batch:>5} in a transaction: {rate:>8.0} changes/s");
    }
}
