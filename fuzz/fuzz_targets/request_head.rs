//! See `lb_proxy::fuzz::request_head`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lb_proxy::fuzz::request_head(input));
