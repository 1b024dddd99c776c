//! See `lb_proxy::fuzz::key`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lb_proxy::fuzz::key(input));
