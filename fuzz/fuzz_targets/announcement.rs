//! See `lb_discovery::fuzz::announcement`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lb_discovery::fuzz::announcement(input));
