//! See `lb_discovery::fuzz::node_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lb_discovery::fuzz::node_file(input));
