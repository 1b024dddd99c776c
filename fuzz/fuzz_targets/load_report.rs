//! See `lb_proxy::fuzz::load_report`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lb_proxy::fuzz::load_report(input));
